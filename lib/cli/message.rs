//! Messages for people: one line an error, safe on a terminal (S4).

use std::error::Error;
use std::fmt::Write;

/// `text` with everything that could drive a terminal or break the line written as an escape.
///
/// Control characters (C0, C1, DEL), line separators and the marks that reverse or hide text become `\n`, `\x1b` or
/// `\u{202e}`; bytes that are no UTF-8 become `\xff`. What is left reads as it is, in any script.
#[must_use]
pub fn escape(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_ascii_control() => push_byte(&mut out, u32::from(c)),
                c if drives_a_terminal(c) => out.extend(c.escape_unicode()),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            push_byte(&mut out, u32::from(*byte));
        }
    }
    out
}

fn drives_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn push_byte(out: &mut String, byte: u32) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{byte:02x}");
}

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
    format!("{tool}: {}", escape(without_numbers(&text).as_bytes()))
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
    fn names_cannot_drive_a_terminal() {
        assert_eq!(escape(b"\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
        assert_eq!(escape(b"a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(escape("täg \u{202e}gpj.exe \u{9b}31m".as_bytes()), "täg \\u{202e}gpj.exe \\u{9b}31m");
        assert_eq!(escape(b"latin \xe4"), "latin \\xe4");
    }

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
