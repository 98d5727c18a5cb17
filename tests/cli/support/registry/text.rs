//! The few encodings that the protocol needs.

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// Standard base64 with padding.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The bytes of standard base64; `None` for anything else.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// `a%20b+c` as `a b c`.
pub(super) fn url_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The values of `key` in `a=b&c=d`, decoded.
pub(super) fn form_values(form: &str, key: &str) -> Vec<String> {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| url_decode(name) == key).map(|(_, value)| url_decode(value)).collect()
}

/// What any spelling of `SECRET` contains: as it is, in digits, and inside base64 at each of the three alignments.
pub(super) fn secret_marks() -> Vec<Vec<u8>> {
    let mut marks = vec![b"SECRET".to_vec(), b"534543524554".to_vec()];
    for before in 0..3usize {
        let text = base64([vec![0; before], b"SECRET".to_vec()].concat());
        let start = [0, 2, 3][before];
        let text = text.trim_end_matches('=');
        let end = text.len() - usize::from((before + 6) % 3 != 0);
        marks.push(text.as_bytes()[start..end].to_vec());
    }
    marks
}

#[test]
fn marks_find_a_secret_inside_base64() {
    for hidden in ["SECRET-1", "a:SECRET-1", "ab:SECRETs", "user:SECRET"] {
        let encoded = base64(hidden);
        let seen = secret_marks().iter().any(|mark| encoded.contains(std::str::from_utf8(mark).unwrap()));
        assert!(seen, "{encoded}");
    }
}
