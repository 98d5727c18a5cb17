//! Numbers in tar headers: octal text, base-256, and PAX's decimals.

use crate::meta::Timestamp;

/// Why a number cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// It is not a number in the field's notation.
    #[error("is not a number")]
    Malformed,
    /// It is a number outside the field's range.
    #[error("is out of range")]
    Range,
}

/// Parses a number field of a header block.
///
/// It holds octal digits after optional blanks, ended by a blank, a NUL or the end of the field; or, if the top bit of the
/// first byte is set, the base-256 of GNU and star: a two's complement big-endian number in all other bits. One NUL before
/// the digits is allowed ("buggy tar of unknown vintage", says GNU tar); a field of NULs is 0.
///
/// # Errors
/// [`NumberError::Malformed`] for anything else, including only blanks; [`NumberError::Range`] beyond `i64`.
pub(super) fn field(bytes: &[u8]) -> Result<i64, NumberError> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => base256(bytes),
        Some(_) => octal(bytes),
        None => Err(NumberError::Malformed),
    }
}

/// Parses a number field that must not be negative.
///
/// # Errors
/// As [`field`].
pub(super) fn unsigned_field(bytes: &[u8]) -> Result<u64, NumberError> {
    u64::try_from(field(bytes)?).map_err(|_| NumberError::Range)
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
        let digit = if at == 0 && !negative { byte & 0x7f } else { byte }; // the marker is not part of the number
        value = value.checked_mul(256).ok_or(NumberError::Range)? | i64::from(digit);
    }
    Ok(value)
}

/// Parses an unsigned decimal number, as in PAX records and sparse maps.
///
/// # Errors
/// [`NumberError::Malformed`] for anything but digits, [`NumberError::Range`] beyond `i64`: no file is larger.
pub(super) fn decimal(text: &[u8]) -> Result<u64, NumberError> {
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

/// Parses a PAX time: seconds with any number of decimals, possibly negative, possibly with an exponent or `inf`, since
/// Python writes floating point numbers. It is rounded down to nanoseconds; times that are out of range are clamped.
///
/// # Errors
/// [`NumberError::Malformed`] for anything else.
pub(super) fn timestamp(text: &[u8]) -> Result<Timestamp, NumberError> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    if [&b"inf"[..], b"infinity"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Ok(Timestamp::from_secs(if negative { i64::MIN } else { i64::MAX }));
    }
    let (text, exponent) = split_exponent(text)?;
    let point = text.iter().position(|&b| b == b'.').unwrap_or(text.len());
    let (whole, decimals) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let digits = [whole, decimals].concat();
    if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Malformed);
    }
    // The position of the point after applying the exponent; beyond the digits there are zeros.
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
    let digit = |at: i64| usize::try_from(at).ok().and_then(|at| digits.get(at)).map_or(0, |digit| digit - b'0');
    let last = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_add(20); // a 20th zero is out of range
    let secs =
        (0..point.min(last)).fold(0_i64, |secs, at| secs.saturating_mul(10).saturating_add(i64::from(digit(at))));
    let nanos = (0..9).fold(0_u32, |nanos, at| nanos * 10 + u32::from(digit(point.saturating_add(at))));
    let rest = usize::try_from(point.saturating_add(9)).unwrap_or(0);
    let has_rest = digits.get(rest..).unwrap_or_default().iter().any(|digit| *digit != b'0');
    if !negative {
        return Ok(Timestamp { secs, nanos });
    }
    if secs == i64::MAX {
        return Ok(Timestamp::from_secs(i64::MIN));
    }
    let nanos = nanos + u32::from(has_rest);
    if nanos == 0 {
        return Ok(Timestamp::from_secs(-secs));
    }
    Ok(Timestamp { secs: -secs - 1, nanos: 1_000_000_000 - nanos })
}

/// Splits `1.5e-07` into `1.5` and `-7`; exponents beyond a thousand make no difference.
fn split_exponent(text: &[u8]) -> Result<(&[u8], i64), NumberError> {
    let Some(at) = text.iter().position(|b| matches!(b, b'e' | b'E')) else { return Ok((text, 0)) };
    let (sign, digits) = match &text[at + 1..] {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let size = match decimal(digits) {
        Err(NumberError::Range) => 1000,
        size => i64::try_from(size?).unwrap_or(1000).min(1000),
    };
    Ok((&text[..at], sign * size))
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
        // Python's floating point numbers.
        assert_eq!(timestamp(b"1e-05"), at(0, 10_000));
        assert_eq!(timestamp(b"-1e-05"), at(-1, 999_990_000));
        assert_eq!(timestamp(b"1.5e+3"), at(1500, 0));
        assert_eq!(timestamp(b"1.7000000005E9"), at(1_700_000_000, 500_000_000));
        assert_eq!(timestamp(b"1e-20"), at(0, 0));
        assert_eq!(timestamp(b"0e99999999999999999999"), at(0, 0));
        // As near as can be said.
        assert_eq!(timestamp(b"-9223372036854775808"), at(i64::MIN, 0));
        for late in [
            &b"inf"[..],
            b"Infinity",
            b"9223372036854775808",
            b"99999999999999999999",
            b"1e400",
            b"1e99999999999999999999",
        ] {
            assert_eq!(timestamp(late).map(|t| t.secs), Ok(i64::MAX), "{late:?}");
            assert_eq!(timestamp(&[b"-", late].concat()).map(|t| t.secs), Ok(i64::MIN), "{late:?}");
        }
        for bad in [
            &b""[..],
            b"-",
            b".5",
            b"1e",
            b"e5",
            b"1e5.0",
            b"1e-",
            b"1ee5",
            b"nan",
            b"infinite",
            b"1.2.3",
            b"+1",
            b" 1",
            b"--1",
            b"1.x",
        ] {
            assert_eq!(timestamp(bad), Err(NumberError::Malformed), "{bad:?}");
        }
    }
}
