//! Names in messages: safe on a terminal, and of limited length (S4).

use std::fmt::{self, Write};

/// How many bytes of a longer name are shown.
const SHOWN: usize = 512;

/// Displays a name from an archive or a file system in a message: escaped as by [`escape`], and shortened if it is long.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..SHOWN) {
            Some(start) if start.len() < self.0.len() => {
                write_escaped(f, start)?;
                write!(f, "... ({} bytes)", self.0.len())
            }
            _ => write_escaped(f, self.0),
        }
    }
}

/// Escapes everything in `text` that could control a terminal or break the line.
///
/// Control characters (C0, C1, DEL), line separators and marks that reverse or hide text become `\n`, `\x1b` or `\u{202e}`;
/// bytes that are not UTF-8 become `\xff`. Everything else stays as it is, in any script.
#[must_use]
pub fn escape(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    // Writing to a String cannot fail.
    let _ = write_escaped(&mut out, text);
    out
}

fn write_escaped(out: &mut impl Write, text: &[u8]) -> fmt::Result {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.write_str("\\n")?,
                '\r' => out.write_str("\\r")?,
                '\t' => out.write_str("\\t")?,
                c if c.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(c))?,
                c if drives_a_terminal(c) => write!(out, "{}", c.escape_unicode())?,
                c => out.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

fn drives_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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
        assert_eq!(Shown(b"a\x1bb\xff").to_string(), "a\\x1bb\\xff");
    }

    #[test]
    fn long_names_are_shortened() {
        let shown = |len: usize| Shown(&vec![0xff; len]).to_string();
        assert_eq!(shown(SHOWN).len(), 4 * SHOWN);
        assert_eq!(shown(1 << 20), format!("{}... (1048576 bytes)", "\\xff".repeat(SHOWN)));
    }
}
