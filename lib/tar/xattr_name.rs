//! The names of extended attributes in PAX keywords, where some bytes are written as `%XX`.

/// Decodes a name as GNU tar does: `%3D` is `=`, `%25` is `%`, everything else is literal.
pub(super) fn gnu_decode(name: &[u8]) -> Vec<u8> {
    percent_decode(name, |byte| matches!(byte, b'=' | b'%'))
}

/// Decodes a name as libarchive does: any `%XX` is a byte, a `%` without two hexadecimal digits is literal.
pub(super) fn url_decode(name: &[u8]) -> Vec<u8> {
    percent_decode(name, |_| true)
}

fn percent_decode(name: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        let byte = match tail {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        if let Some(byte) = byte.filter(|&b| wanted(b)) {
            out.push(byte);
            rest = &tail[2..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Encodes a name for a `LIBARCHIVE.xattr.` keyword.
#[must_use]
pub(super) fn url_encode(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        if matches!(byte, 33..=126) && byte != b'%' && byte != b'=' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// Whether all readers agree on this name in a `SCHILY.xattr.` keyword: it has no `=`, and nothing that GNU tar decodes.
#[must_use]
pub(super) fn is_plain_name(name: &[u8]) -> bool {
    !name.contains(&b'=') && gnu_decode(name) == name
}
