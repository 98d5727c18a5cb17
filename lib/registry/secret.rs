//! Secrets, which are never shown, and how they are removed from messages.
//!
//! A server can repeat a password or token in anything that we quote: an error, the address of a redirect, a media type. So
//! every secret is registered here as soon as it exists, and all messages go through [`scrub`] before they are printed.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::normal_form::{NormalByte, decode, decoded, exact, loose};
use crate::image::hex;

/// Shorter secrets cannot be kept: removing them from a message would reveal them.
const SHORTEST: usize = 3;

/// How many leading characters are enough to recognise a truncated secret.
const BEGINNING: usize = 8;

/// A user's name without a password is a token if it is this long.
const TOKEN: usize = 16;

/// How many comparisons with a secret are allowed for each byte of a text.
const MOST_WORK: usize = 64;

/// The replacement for a secret.
const MASK: &str = "***";

/// The end of a text that was cut, as messages write it.
pub(super) const CUT: &str = "...";

/// All forms of the secrets of this run. There are only as many as it has passwords and tokens.
static KNOWN: RwLock<Known> = RwLock::new(Known { strict: Vec::new(), loose: Vec::new() });

/// All forms of some secrets.
#[derive(Default)]
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
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).add(&text);
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

/// Has the secret part of `user:password@host`, with or without a scheme and a path, removed from all messages. Neither the
/// name of an image nor that of a registry has one, but people write them so. `name:tag@digest` has none.
pub fn hide_password(text: &str) {
    let (is_address, name) = text.split_once("://").map_or((false, text), |(_, name)| (true, name));
    let (userinfo, host) = name.rsplit_once('@').unwrap_or_default();
    let is_digest = host.starts_with("sha256:") || host.starts_with("sha512:");
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_host = host.contains(['/', '.']) || host.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    if !is_digest && (is_address || is_host) {
        let (user, password) = userinfo.split_once(':').map_or((userinfo, None), |(user, rest)| (user, Some(rest)));
        hide_userinfo(user, password);
    }
}

/// Has the secret part of an address's `user:password@` removed from all messages, as it is written there and as it is
/// sent: the password, or else the user's name, which is then a token.
pub(super) fn hide_userinfo(user: &str, password: Option<&str>) {
    let secret = match password.filter(|password| !password.is_empty()) {
        None if user.len() < TOKEN => return,
        None => user,
        Some(password) => password,
    };
    drop(Secret::new(secret));
    drop(Secret::new(percent_decode_str(secret).collect::<Vec<u8>>()));
}

/// Has the credentials of an `Authorization` header removed from all messages: `encoded`, as they are sent, and the user's
/// name if it is a token for want of a password.
pub(super) fn hide_basic(user: &[u8], password: &Secret, encoded: &str) {
    drop(Secret::new(encoded));
    if password.0.is_empty() && user.len() >= TOKEN {
        drop(Secret::new(user));
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
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).scrub(text)
}

/// Like [`scrub`], and without `more`, of which only this text is suspected.
pub(super) fn scrub_also(text: &str, more: impl Iterator<Item = impl AsRef<[u8]>>) -> String {
    let mut known = Known::default();
    more.for_each(|secret| known.add(secret.as_ref()));
    known.scrub(&scrub(text))
}

impl Known {
    /// Adds all forms of a secret.
    fn add(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut forms = vec![secret.to_ascii_lowercase(), bytes(&decoded(secret)), hex(secret).into_bytes()];
        // Shorter pieces of base64 occur in any text.
        forms.extend((0..3).map(|before| within_base64(secret, before)).filter(|form| form.len() > SHORTEST));
        for form in forms {
            let loosened = bytes(&loose(exact(&form)));
            // Shorter forms occur in any text.
            if loosened.len() >= BEGINNING && !self.loose.contains(&loosened) {
                self.loose.push(loosened);
            }
            if !self.strict.contains(&form) {
                self.strict.push(form);
            }
        }
    }

    /// Replaces the secrets in `text`.
    fn scrub(&self, text: &str) -> String {
        if self.strict.is_empty() {
            return text.to_owned();
        }
        let mut hidden = vec![false; text.len()];
        let once = decoded(text.as_bytes());
        let twice = decode(&once);
        // Few texts have escapes of escapes.
        let readings =
            [Some(&exact(text.as_bytes())), Some(&once), Some(&twice).filter(|twice| twice.len() < once.len())];
        let cuts: Vec<usize> = text.match_indices(CUT).map(|(at, _)| at).collect();
        for reading in readings.into_iter().flatten() {
            self.strict.iter().for_each(|form| hide(reading, form, &mut hidden));
            self.strict.iter().for_each(|form| hide_cut(reading, form, &cuts, &mut hidden));
        }
        let reading = loose(twice);
        self.loose.iter().for_each(|form| hide(&reading, form, &mut hidden));
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
}

/// Marks beginnings of `form` that are too short to be recognised elsewhere, where a text was cut: before one of `cuts`,
/// which are places in the text.
fn hide_cut(reading: &[NormalByte], form: &[u8], cuts: &[usize], hidden: &mut [bool]) {
    for cut in cuts {
        let end = reading.partition_point(|(_, place)| place.end <= *cut);
        let is_beginning = |len: &usize| {
            let tail = end.checked_sub(*len).and_then(|start| reading.get(start..end)).unwrap_or_default();
            tail.len() == *len && tail.iter().map(|(byte, _)| byte).eq(&form[..*len])
        };
        if let Some(len) = (SHORTEST..BEGINNING.min(form.len() + 1)).rev().find(is_beginning) {
            hidden[reading[end - len].1.start..*cut].fill(true);
        }
    }
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
            "\\110unter\\0572\\040\\042quoted\\042-pass",
            "Hunt\\u{65}r\\u{2f}2\\u{20}\\U00000022quoted\\U00000022\\u{00002d}pass",
            "%u0048unter%u002f2%u0020%u0022quoted%u0022-pass",
            "Hunter&sol;2&#x000020;&QUOT;quoted&quot;&#00045;pass",
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
    fn what_is_left_of_a_secret_where_a_text_was_cut_is_taken_out() {
        let _ = Secret::new("Kn\u{f6}terich+7");
        for (cut, left) in [
            ("Kn\u{f6}...", "***..."),
            ("kn%C3%B6te...", "***..."),
            ("a Kn\u{f6}ter... (9 bytes)", "a ***... (9 bytes)"),
            ("S27Dt...", "***..."),
        ] {
            assert_eq!(scrub(cut), left, "{cut}");
        }
        for same in ["Kn...", "Kn\u{f6}.", "\u{f6}te...", "...Kn\u{f6}", "Kn\u{f6} ..."] {
            assert_eq!(scrub(same), same);
        }
    }

    #[test]
    fn what_one_text_is_suspected_of_is_taken_out_of_that_only() {
        let text = "no such key: wonderful-wolf, d29uZGVyZnVsLXdvbGY=";
        assert_eq!(scrub_also(text, ["wonderful-wolf"].iter()), "no such key: ***, ***Y=");
        assert_eq!(scrub(text), text);
    }

    #[test]
    fn the_secret_of_an_address_is_taken_out_as_it_is_written_and_as_it_is_sent() {
        hide_userinfo("some-proxy-user", Some("%48ydrangea%2Dblue%40"));
        hide_userinfo("token-%41bcdefghijklm", None);
        hide_userinfo("short-user", Some(""));
        for written in ["%48ydrangea%2Dblue%40", "Hydrangea-blue@", "token-Abcdefghijklm"] {
            for spelt in [written.to_owned(), hex(written.as_bytes()), STANDARD.encode(format!("x:{written}yy"))] {
                let shown = scrub(&format!("({spelt})"));
                assert!(shown.contains(MASK) && shown.len() < 16, "{spelt}: {shown}");
            }
        }
        assert_eq!(scrub("some-proxy-user short-user"), "some-proxy-user short-user");
    }

    #[test]
    fn the_credentials_of_a_header_are_taken_out_whole() {
        let (user, password) = (b"wisteria-blossom-17", Secret::new(""));
        let pair = STANDARD.encode([&user[..], b":"].concat());
        hide_basic(user, &password, &pair);
        assert_eq!(scrub(&format!("Basic {pair} of wisteria-blossom-17")), "Basic *** of ***");
    }

    #[test]
    fn a_short_secret_is_taken_out_whole_and_the_shortest_are_none() {
        let _ = (Secret::new("q7"), Secret::new("zq7"), Secret::new([0xfe, 0xfc, 0xfd]));
        assert_eq!(scrub("q7 zq7 ZQ7x"), "q7 *** ***x");
        assert_eq!(scrub("\\xfe\\xfc\\xfd"), MASK);
        assert_eq!(format!("{:?}", Secret::new("shown?")), MASK);
    }
}
