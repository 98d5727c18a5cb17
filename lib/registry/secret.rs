//! Secrets, which are never shown, and how they are removed from messages.
//!
//! A server can repeat a password or token in anything that we quote: an error, the address of a redirect, a media type. So
//! every secret is registered here as soon as it exists, and all messages go through [`scrub`] before they are printed.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Shorter secrets cannot be kept: removing them from a message would reveal them.
const SHORTEST: usize = 3;

/// How many leading characters are enough to recognise a truncated secret.
const BEGINNING: usize = 8;

/// How many comparisons with a secret are allowed for each byte of a text.
const MOST_WORK: usize = 64;

/// The replacement for a secret.
const MASK: &str = "***";

/// All forms of secrets, as [`fold`] returns them. Their number is that of the passwords and tokens of a run.
static KNOWN: RwLock<Vec<Vec<u8>>> = RwLock::new(Vec::new());

/// A text that is never shown; not necessarily UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps `text`, and has it removed from all messages from now on.
    #[must_use]
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        know(&text);
        Self(text)
    }

    /// The text, for the request that needs it.
    pub(super) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Registers all forms of a secret.
fn know(secret: &[u8]) {
    if secret.len() < SHORTEST {
        return;
    }
    let mut forms = vec![secret.to_ascii_lowercase(), fold(secret).into_iter().map(|(byte, _)| byte).collect()];
    // Shorter pieces of base64 occur in any text.
    forms.extend((0..3).map(|before| within_base64(secret, before)).filter(|form| form.len() > SHORTEST));
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms {
        if !known.contains(&form) {
            known.push(form);
        }
    }
}

/// The base64 characters that `secret` always causes if it follows `before` other bytes (modulo 3), as [`fold`] returns
/// them.
fn within_base64(secret: &[u8], before: usize) -> Vec<u8> {
    let mut text = vec![0; before];
    text.extend_from_slice(secret);
    let encoded = STANDARD.encode(&text);
    let encoded = encoded.trim_end_matches('=');
    // The characters at either end contain bits of the neighbouring bytes.
    let start = [0, 2, 3][before];
    let end = encoded.len() - usize::from(matches!(text.len() % 3, 1 | 2));
    fold(encoded.get(start..end).unwrap_or_default().as_bytes()).into_iter().map(|(byte, _)| byte).collect()
}

/// Replaces every registered secret in `text`: verbatim, in any case, percent-encoded, escaped, in base64, or truncated
/// after its first characters.
#[must_use]
pub fn scrub(text: &str) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if known.is_empty() {
        return text.to_owned();
    }
    let plain = text.bytes().enumerate().map(|(at, byte)| (byte.to_ascii_lowercase(), at..at + 1)).collect();
    let mut hidden = vec![false; text.len()];
    for view in [plain, fold(text.as_bytes())] {
        let bytes: Vec<u8> = view.iter().map(|(byte, _)| *byte).collect();
        for form in known.iter() {
            let beginning = &form[..form.len().min(BEGINNING)];
            let (mut from, mut work) = (0, bytes.len().saturating_mul(MOST_WORK));
            while let Some(at) = find(&bytes[from..], beginning) {
                let at = from + at;
                let same = bytes[at..].iter().zip(form).take_while(|(a, b)| a == b).count();
                // If a text nearly repeats a secret over and over, hide all of it to limit the work.
                let end = if same <= work { at + same } else { bytes.len() };
                work = work.saturating_sub(same);
                view[at..end].iter().for_each(|(_, range)| hidden[range.clone()].fill(true));
                // The next match may begin within this one.
                from = if end == bytes.len() { end } else { at + 1 };
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut masking = false;
    for (at, c) in text.char_indices() {
        let secret = hidden[at..at + c.len_utf8()].contains(&true);
        match (secret, masking) {
            (true, false) => out.push_str(MASK),
            (true, true) => {}
            (false, _) => out.push(c),
        }
        masking = secret;
    }
    out
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Normalises a text: lower case, percent-encoding and backslashes decoded, the two base64 alphabets unified. Each byte
/// comes with its range in the text.
fn fold(text: &[u8]) -> Vec<(u8, std::ops::Range<usize>)> {
    let hex = |at: usize| {
        let digits = text.get(at..at + 2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(digits, 16).ok()
    };
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let next = text.get(at + 1).copied();
        let (byte, len) = match (byte, next) {
            (b'%', Some(_)) => hex(at + 1).map_or((byte, 1), |byte| (byte, 3)),
            (b'\\', Some(b'x')) => hex(at + 2).map_or((byte, 1), |byte| (byte, 4)),
            (b'\\', Some(next @ (b'"' | b'\\' | b'/' | b'\''))) => (next, 2),
            _ => (byte, 1),
        };
        let byte = match byte.to_ascii_lowercase() {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        out.push((byte, at..at + len));
        at += len;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_it_is_written() {
        let _ = Secret::new("Hunter/2 \"quoted\"-pass");
        let pair = STANDARD.encode("some-user:Hunter/2 \"quoted\"-pass");
        for written in [
            "Hunter/2 \"quoted\"-pass",
            "hunter/2 \"QUOTED\"-pass",
            "Hunter%2F2%20%22quoted%22-pass",
            "hunter%2f2 \\\"quoted\\\"-pass",
            "Hunter/2 \"quo",
            &pair,
            &pair[4..],
            &pair.replace('+', "-").replace('/', "_"),
            &STANDARD.encode("x:Hunter/2 \"quoted\"-pass and more"),
            &STANDARD.encode("xy:Hunter/2 \"quoted\"-pass"),
        ] {
            let shown = scrub(&format!("the server says {written}, ä"));
            assert!(shown.starts_with("the server says ") && shown.ends_with(", ä"), "{shown}");
            let left = shown.trim_start_matches("the server says ").trim_end_matches(", ä");
            // Of base64 what stands before the secret may stay.
            assert!(
                left.contains(MASK) && left.len() < 24 && !left.to_lowercase().contains("unter"),
                "{written}: {left}"
            );
        }
        assert_eq!(scrub("the hunt goes on"), "the hunt goes on");
    }

    #[test]
    fn secrets_that_overlap_are_taken_out_and_cost_little() {
        let _ = Secret::new("abcabcab/abcabcab");
        assert_eq!(scrub("x abcabcab/abcabcab/abcabcab y"), "x *** y");
        let _ = Secret::new("z".repeat(200_000));
        assert_eq!(scrub(&format!("x {} y", "z".repeat(400_000))), "x ***");
    }

    #[test]
    fn a_short_secret_is_taken_out_whole_and_the_shortest_are_none() {
        let _ = (Secret::new("q7"), Secret::new("zq7"), Secret::new([0xfe, 0xfc, 0xfd]));
        assert_eq!(scrub("q7 zq7 ZQ7x"), "q7 *** ***x");
        assert_eq!(scrub("\\xfe\\xfc\\xfd"), MASK);
        assert_eq!(format!("{:?}", Secret::new("shown?")), MASK);
    }
}
