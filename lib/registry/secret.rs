//! Secrets, which are never shown, and how they are removed from messages.
//!
//! A server can repeat a password or token in anything that we quote: an error, the address of a redirect, a media type. So
//! every secret is registered here as soon as it exists, and all messages go through [`scrub`] before they are printed.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::normal_form::{NormalByte, decode, decoded, exact, loose};
use crate::image::hex;

/// Shorter secrets cannot be kept: removing them from a message would reveal them.
const SHORTEST: usize = 3;

/// How many leading characters are enough to recognise a truncated secret.
const BEGINNING: usize = 8;

/// How many comparisons with a secret are allowed for each byte of a text.
const MOST_WORK: usize = 64;

/// The replacement for a secret.
const MASK: &str = "***";

/// All forms of secrets. There are only as many as a run has passwords and tokens.
static KNOWN: RwLock<Known> = RwLock::new(Known { strict: Vec::new(), loose: Vec::new() });

struct Known {
    /// As [`exact`] and [`decoded`] return them.
    strict: Vec<Vec<u8>>,
    /// As [`loose`] does.
    loose: Vec<Vec<u8>>,
}

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
    let mut forms = vec![secret.to_ascii_lowercase(), bytes(&decoded(secret)), hex(secret).into_bytes()];
    // Shorter pieces of base64 occur in any text.
    forms.extend((0..3).map(|before| within_base64(secret, before)).filter(|form| form.len() > SHORTEST));
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms {
        let loosened = bytes(&loose(exact(&form)));
        // Shorter forms occur in any text.
        if loosened.len() >= BEGINNING && !known.loose.contains(&loosened) {
            known.loose.push(loosened);
        }
        if !known.strict.contains(&form) {
            known.strict.push(form);
        }
    }
}

/// The base64 characters that `secret` always causes if it follows `before` other bytes (modulo 3), as [`decoded`] returns
/// them.
fn within_base64(secret: &[u8], before: usize) -> Vec<u8> {
    let mut text = vec![0; before];
    text.extend_from_slice(secret);
    let encoded = STANDARD.encode(&text);
    let encoded = encoded.trim_end_matches('=');
    // The characters at either end contain bits of the neighbouring bytes.
    let start = [0, 2, 3][before];
    let end = encoded.len() - usize::from(matches!(text.len() % 3, 1 | 2));
    bytes(&decoded(encoded.get(start..end).unwrap_or_default().as_bytes()))
}

/// Replaces every registered secret in `text`: verbatim, in any case, escaped as in addresses, JSON or HTML, also twice, in
/// hexadecimal digits, in base64, broken over lines, in another character set, or truncated after its first characters.
#[must_use]
pub fn scrub(text: &str) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if known.strict.is_empty() {
        return text.to_owned();
    }
    let mut hidden = vec![false; text.len()];
    let once = decoded(text.as_bytes());
    let twice = decode(&once);
    // Few texts have escapes of escapes.
    let readings = [Some(&exact(text.as_bytes())), Some(&once), Some(&twice).filter(|twice| twice.len() < once.len())];
    for reading in readings.into_iter().flatten() {
        known.strict.iter().for_each(|form| hide(reading, form, &mut hidden));
    }
    let reading = loose(twice);
    known.loose.iter().for_each(|form| hide(&reading, form, &mut hidden));
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

/// Marks the occurrences of `form` or its beginning in a text.
fn hide(reading: &[NormalByte], form: &[u8], hidden: &mut [bool]) {
    let bytes = bytes(reading);
    let beginning = &form[..form.len().min(BEGINNING)];
    let (mut from, mut work) = (0, bytes.len().saturating_mul(MOST_WORK));
    while let Some(at) = find(&bytes[from..], beginning) {
        let at = from + at;
        let same = bytes[at..].iter().zip(form).take_while(|(a, b)| a == b).count();
        // If a text nearly repeats a secret over and over, hide all of it to limit the work.
        let end = if same <= work { at + same } else { bytes.len() };
        work = work.saturating_sub(same);
        // Including what the normal form leaves out in between.
        hidden[reading[at].1.start..reading[end - 1].1.end].fill(true);
        // The next match may begin within this one.
        from = if end == bytes.len() { end } else { at + 1 };
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn bytes(reading: &[NormalByte]) -> Vec<u8> {
    reading.iter().map(|(byte, _)| *byte).collect()
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
            "Hunter%252F2%2520%2522quoted%2522-pass",
            "Hunter/2+&quot;quoted&quot;-pass",
            "Hunter&#47;2&#x20;&#34;quoted&#X22;-pass",
            "Hunter\\u002f2 \\u0022quoted\\u0022-pass",
            "48756E7465722F32202271756F746564222D70617373",
            "Hunter/2\r\n \"quoted\"\n-pass",
            &format!("{}\n{}", &pair[..20], &pair[20..]),
        ] {
            let shown = scrub(&format!("the server says {written}, ä"));
            assert!(shown.starts_with("the server says ") && shown.ends_with(", ä"), "{shown}");
            let left = shown.trim_start_matches("the server says ").trim_end_matches(", ä");
            // The part of base64 before the secret may remain.
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

    /// Headers and error texts come in whatever their server takes for text.
    #[test]
    fn a_secret_is_taken_out_in_any_character_set() {
        let _ = (Secret::new("motörhead-ÄÖ-1975"), Secret::new(&b"r\xe4tselhaft"[..]));
        for written in
            ["mot\u{fffd}rhead-\u{fffd}-1975", "motÃ¶rhead-Ã„Ã–-1975", "MOT\\u00f6RHEAD-ÄÖ-1975", "räts\nelhaft"]
        {
            assert_eq!(scrub(&format!("ü {written} ü")), "ü *** ü", "{written}");
        }
    }

    #[test]
    fn a_short_secret_is_taken_out_whole_and_the_shortest_are_none() {
        let _ = (Secret::new("q7"), Secret::new("zq7"), Secret::new([0xfe, 0xfc, 0xfd]));
        assert_eq!(scrub("q7 zq7 ZQ7x"), "q7 *** ***x");
        assert_eq!(scrub("\\xfe\\xfc\\xfd"), MASK);
        assert_eq!(format!("{:?}", Secret::new("shown?")), MASK);
    }
}
