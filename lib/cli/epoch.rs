//! `SOURCE_DATE_EPOCH` (S6): <https://reproducible-builds.org/specs/source-date-epoch/>.

use super::Failure;
use crate::meta::Timestamp;

const NAME: &str = "SOURCE_DATE_EPOCH";

/// The time that stands for "now" where builds must be reproducible, if the environment sets one.
///
/// # Errors
/// [`Failure::Usage`] when it is set to anything but a number of seconds. An empty value counts as unset.
pub fn source_date_epoch() -> Result<Option<Timestamp>, Failure> {
    match std::env::var_os(NAME) {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => parse(text.as_encoded_bytes()).map(Some),
    }
}

fn parse(text: &[u8]) -> Result<Timestamp, Failure> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let secs = if digits { std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) } else { None };
    let text = || String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
    secs.map(Timestamp::from_secs).ok_or_else(|| {
        Failure::Usage(format!("{NAME} is {:?}, it must be a whole number of seconds since 1970", text()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn only_seconds_count() {
        assert_eq!(parse(b"1700000000").unwrap(), Timestamp::from_secs(1_700_000_000));
        for text in [&b"-1"[..], b"+1", b"1.5", b"yesterday", b"99999999999999999999", b"\xff"] {
            assert!(parse(text).is_err());
        }
    }
}
