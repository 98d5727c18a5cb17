//! Messages for people: one line an error, safe on a terminal (S4).

use std::error::Error;
use std::iter::successors;

use crate::meta::escape;

/// The line `tool: what: why: why`, from an error and its sources, escaped.
///
/// A source whose text is already part of the message is not repeated.
#[must_use]
pub fn message_line(tool: &str, error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for next in chain(error).skip(1).map(ToString::to_string) {
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
    }
    format!("{tool}: {}", legible(&text))
}

/// `error`, its source, the source of that, and so on.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// A longer message is cut to this many bytes at its beginning and at its end.
const SHOWN: usize = 1536;

/// `text` made fit to print: free of secrets that a server echoed and of error numbers, safe on a terminal, a few KiB at most. Every
/// message passes through here.
#[must_use]
pub fn legible(text: &str) -> String {
    #[cfg(feature = "fetch")]
    let text = &crate::registry::scrub(text);
    shortened(escape(without_numbers(text).as_bytes()))
}

/// Cuts the middle out of a long `text`: its subject is at the beginning, the reason at the end.
fn shortened(text: String) -> String {
    let is_cut = |at: &usize| text.is_char_boundary(*at);
    let (head, tail) = ((0..=SHOWN).rev().find(is_cut), (text.len().saturating_sub(SHOWN)..text.len()).find(is_cut));
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => format!("{} ... {}", &text[..head], &text[tail..]),
        _ => text,
    }
}

/// Removes the `(os error 2)` that Rust, unlike any other tool, appends to the system's messages.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => out.push_str(rest),
            _ => {
                out.push_str(" (os error ");
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_speaks_without_numbers() {
        let text = "a: No such file or directory (os error 2): b (os error x) (os error 13)";
        assert_eq!(legible(text), "a: No such file or directory: b (os error x)");
    }

    #[test]
    fn a_message_is_never_long() {
        let long = format!("start {} end", "ä\n".repeat(100_000));
        let told = legible(&long);
        assert!(told.len() < 4096 && told.starts_with("start ä\\n") && told.ends_with(" end"), "{told}");
        assert_eq!(legible(&"x".repeat(3000)), "x".repeat(3000));
        assert_eq!(legible(""), "");
    }

    #[test]
    fn sources_follow_unless_they_were_said() {
        #[derive(Debug, thiserror::Error)]
        #[error("layer 2")]
        struct Outer(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("layer 2: {0}")]
        struct Said(#[source] std::io::Error);
        let io = || std::io::Error::other("disk on fire");
        assert_eq!(message_line("tool", &Outer(io())), "tool: layer 2: disk on fire");
        assert_eq!(message_line("tool", &Said(io())), "tool: layer 2: disk on fire");
    }
}
