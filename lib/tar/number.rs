//! Numbers as tar headers write them: octal text, base-256, and PAX's decimals.

use crate::meta::Timestamp;

/// Why a number cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// It is no number in the field's notation.
    #[error("is not a number")]
    Malformed,
    /// It is a number that the field's meaning does not allow.
    #[error("is out of range")]
    Range,
}

/// A number field of a header block.
///
/// Octal digits after blanks, ended by a blank, a NUL or the field; or, with the top bit of the first byte set, GNU's
/// and star's base-256: a two's complement big-endian number in all bits but that one. One NUL before the digits
/// is allowed ("buggy tar of unknown vintage", says GNU tar); a field of nothing but NULs is 0.
///
/// # Errors
/// [`NumberError::Malformed`] for anything else, blanks only included; [`NumberError::Range`] beyond `i64`.
pub fn field(bytes: &[u8]) -> Result<i64, NumberError> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => base256(bytes),
        Some(_) => octal(bytes),
        None => Err(NumberError::Malformed),
    }
}

fn octal(bytes: &[u8]) -> Result<i64, NumberError> {
    let bytes = bytes.strip_prefix(b"\0").unwrap_or(bytes);
    let text = bytes.trim_ascii_start();
    if text.is_empty() {
        return Err(NumberError::Malformed);
    }
    let mut value: i64 = 0;
    for &byte in text {
        match byte {
            b'0'..=b'7' => {
                value = value.checked_mul(8).ok_or(NumberError::Range)? | i64::from(byte - b'0');
            }
            0 => break,
            _ if byte.is_ascii_whitespace() => break,
            _ => return Err(NumberError::Malformed),
        }
    }
    Ok(value)
}

fn base256(bytes: &[u8]) -> Result<i64, NumberError> {
    let negative = bytes[0] & 0x40 != 0;
    let mut value: i64 = if negative { -1 } else { 0 };
    for (at, &byte) in bytes.iter().enumerate() {
        let digit = if at == 0 && !negative { byte & 0x7f } else { byte }; // the marker is no part of the number
        value = value.checked_mul(256).ok_or(NumberError::Range)? | i64::from(digit);
    }
    Ok(value)
}

/// A decimal number without sign, as in PAX records and sparse maps.
///
/// # Errors
/// [`NumberError::Malformed`] for anything but digits, [`NumberError::Range`] beyond `i64`: no file is larger.
pub fn decimal(text: &[u8]) -> Result<u64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Malformed);
    }
    let mut value: i64 = 0;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return Err(NumberError::Malformed);
        }
        let digit = i64::from(byte - b'0');
        value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(NumberError::Range)?;
    }
    u64::try_from(value).map_err(|_| NumberError::Range)
}

/// A PAX time: seconds with any number of decimals, maybe negative. Beyond nanoseconds it is rounded down.
///
/// # Errors
/// As [`decimal`].
pub fn timestamp(text: &[u8]) -> Result<Timestamp, NumberError> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = text.iter().position(|&b| b == b'.').unwrap_or(text.len());
    let secs = i64::try_from(decimal(&text[..point])?).map_err(|_| NumberError::Range)?;
    let (mut nanos, mut rest) = (0_u32, false);
    let mut unit = 100_000_000;
    for &byte in text.get(point + 1..).unwrap_or_default() {
        if !byte.is_ascii_digit() {
            return Err(NumberError::Malformed);
        }
        nanos += u32::from(byte - b'0') * unit;
        rest |= unit == 0 && byte != b'0';
        unit /= 10;
    }
    if !negative {
        return Ok(Timestamp { secs, nanos });
    }
    let nanos = nanos + u32::from(rest);
    if nanos == 0 {
        return Ok(Timestamp { secs: -secs, nanos: 0 });
    }
    let secs = (-secs).checked_sub(1).ok_or(NumberError::Range)?;
    Ok(Timestamp { secs, nanos: 1_000_000_000 - nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_fields() {
        assert_eq!(field(b"0000644\0"), Ok(0o644));
        assert_eq!(field(b"   644 \0"), Ok(0o644));
        assert_eq!(field(b"77777777"), Ok(0o7777_7777));
        assert_eq!(field(b"\x00644\0\0\0\0"), Ok(0o644));
        assert_eq!(field(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(field(b"        "), Err(NumberError::Malformed));
        assert_eq!(field(b"000078z\0"), Err(NumberError::Malformed));
        assert_eq!(field(b"-1\0"), Err(NumberError::Malformed));
        assert_eq!(field(b"7777777777777777777777"), Err(NumberError::Range));
    }

    #[test]
    fn base256_fields() {
        assert_eq!(field(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]), Ok(256));
        assert_eq!(field(&[0xff; 12]), Ok(-1));
        assert_eq!(field(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), Ok(-256));
        assert_eq!(field(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), Ok(0xffff_ffff));
        assert_eq!(field(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Ok(i64::MAX));
        assert_eq!(field(&[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), Ok(i64::MIN));
        assert_eq!(field(&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]), Err(NumberError::Range));
        assert_eq!(field(&[0xbf; 12]), Err(NumberError::Range));
    }

    #[test]
    fn times_round_down_and_keep_every_nanosecond() {
        let at = |secs, nanos| Ok(Timestamp { secs, nanos });
        assert_eq!(timestamp(b"1700000000.123456789"), at(1_700_000_000, 123_456_789));
        assert_eq!(timestamp(b"0"), at(0, 0));
        assert_eq!(timestamp(b"12."), at(12, 0));
        assert_eq!(timestamp(b"1.00000000099999"), at(1, 0));
        assert_eq!(timestamp(b"-0.25"), at(-1, 750_000_000));
        assert_eq!(timestamp(b"-1"), at(-1, 0));
        assert_eq!(timestamp(b"-1.0000000001"), at(-2, 999_999_999));
        assert_eq!(timestamp(b"-0.9999999999"), at(-1, 0));
        assert_eq!(timestamp(b"9223372036854775807"), at(i64::MAX, 0));
        assert_eq!(timestamp(b"9223372036854775808"), Err(NumberError::Range));
        for bad in [&b""[..], b"-", b".5", b"1e5", b"1.2.3", b"+1", b" 1", b"--1", b"1.x"] {
            assert_eq!(timestamp(bad), Err(NumberError::Malformed), "{bad:?}");
        }
    }
}
