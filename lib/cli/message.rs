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

/// `text` as a person may see it: without secrets that a server has repeated, and safe on a terminal. Whatever leaves goes
/// through here.
#[must_use]
pub fn legible(text: &str) -> String {
    #[cfg(feature = "fetch")]
    let text = crate::registry::scrub(text);
    escape(text.as_bytes())
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
