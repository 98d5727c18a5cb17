//! Sizes on the command line.

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// Not a number with a known unit.
    #[error("{0:?} is no size: a number of bytes, or one with K, M, G, T, P (powers of 1024; KiB too; KB is 1000)")]
    Malformed(String),
    /// More than 2^64 - 1 bytes.
    #[error("{0:?} is more than any file can hold")]
    TooLarge(String),
}

/// Parses a size in bytes: `4096`, `512K`, `1.5G`, `2GiB` in powers of 1024 as mke2fs and truncate take them;
/// `KB`, `MB`, ... in powers of 1000 as truncate does.
///
/// # Errors
/// When `text` is not a size, or not a whole number of bytes.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    const BILLION: u128 = 1_000_000_000;
    let malformed = || SizeError::Malformed(text.chars().take(40).collect());
    let too_large = || SizeError::TooLarge(text.chars().take(40).collect());
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit_bytes(unit).ok_or_else(malformed)?;
    let (whole, billionths) = split_decimal(number, 9).ok_or_else(malformed)?;
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let scaled =
        whole.checked_mul(BILLION).and_then(|w| w.checked_add(billionths.into())).and_then(|n| n.checked_mul(unit));
    let scaled = scaled.ok_or_else(too_large)?;
    if scaled % BILLION != 0 {
        return Err(malformed());
    }
    u64::try_from(scaled / BILLION).map_err(|_| too_large())
}

/// Splits a decimal number without a sign into its whole part and its fraction, the latter in units of its last place;
/// `None` if it is not such a number or has more than `places` decimals, of which there are at most 9.
pub(super) fn split_decimal(number: &str, places: usize) -> Option<(&str, u32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || number.ends_with('.') || fraction.len() > places || !digits(whole) || !digits(fraction) {
        return None;
    }
    Some((whole, format!("{fraction:0<places$}").parse().ok()?))
}

fn unit_bytes(unit: &str) -> Option<u128> {
    let lower = unit.to_ascii_lowercase();
    let (letter, base) = match lower.as_str() {
        "" | "b" => return Some(1),
        unit if unit.ends_with("ib") => (&unit[..unit.len() - 2], 1024u128),
        unit if unit.ends_with('b') => (&unit[..unit.len() - 1], 1000),
        unit => (unit, 1024),
    };
    let power = ["k", "m", "g", "t", "p", "e"].iter().position(|l| *l == letter)? + 1;
    Some(base.pow(u32::try_from(power).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let cases = [("0", 0), ("4096", 4096), ("1K", 1024), ("64k", 65536), ("2GiB", 2 << 30), ("1.5G", 3 << 29)];
        let more = [("1KB", 1000), ("3MB", 3_000_000), ("1T", 1 << 40), ("16E", u128::from(u64::MAX) + 1)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, bytes) in more {
            assert_eq!(parse_size(text).ok(), u64::try_from(bytes).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "K", "-1", "1X", "1.G", ".5G", "1.2.3", "1 G", "0x10", "1GiBB", "0.3", "99999999999999999999E"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
