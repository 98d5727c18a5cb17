//! Messages for people: one line an error, safe on a terminal (S4).

use std::error::Error;

pub use crate::meta::escape;

/// The line `tool: what: why: why`, from an error and its sources, escaped.
///
/// A source whose text the error above it already shows is not said twice.
#[must_use]
pub fn message_line(tool: &str, error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    format!("{tool}: {}", legible(&without_numbers(&text)))
}

/// Of a longer message the beginning and the end are shown, as many bytes each.
const SHOWN: usize = 1536;

/// `text` as a person may see it: without secrets that a server has repeated, safe on a terminal, and never longer than some
/// KiB. Whatever leaves goes through here.
#[must_use]
pub fn legible(text: &str) -> String {
    #[cfg(feature = "fetch")]
    let text = crate::registry::scrub(text);
    shortened(escape(text.as_bytes()))
}

/// `text` without its middle if it is long: what it is about stands at its beginning, what is wrong at its end.
fn shortened(text: String) -> String {
    let is_cut = |at: &usize| text.is_char_boundary(*at);
    let (head, tail) = ((0..=SHOWN).rev().find(is_cut), (text.len().saturating_sub(SHOWN)..text.len()).find(is_cut));
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => format!("{} ... {}", &text[..head], &text[tail..]),
        _ => text,
    }
}

/// `text` without the `(os error 2)` that Rust puts behind what the system says, as no other tool does.
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
        assert_eq!(without_numbers(text), "a: No such file or directory: b (os error x)");
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
