//! Ages as people type them: `30d`, `12h`.

use std::time::Duration;

/// The text is not an age.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an age: a number with s, m, h, d or w is, such as 30d; or 0")]
pub struct AgeError;

/// Reads a number of seconds, minutes, hours, days or weeks. Only 0 needs no unit.
///
/// # Errors
/// When the text is none of these, or the age does not fit in a [`Duration`].
pub fn parse_age(text: &str) -> Result<Duration, AgeError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| AgeError)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        "" if number == 0 => 1,
        _ => return Err(AgeError),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or(AgeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (text, seconds) in
            [("0", 0), ("0d", 0), ("90s", 90), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)]
        {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "d", "30", "-1d", "1.5h", "3 d", "1month", "99999999999999999999d", "18446744073709551615w"] {
            assert_eq!(parse_age(bad), Err(AgeError), "{bad}");
        }
    }
}
