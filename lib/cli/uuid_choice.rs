//! The values of `tar2ext4 --uuid`.

use uuid::Uuid;

use super::Failure;
use crate::meta::Timestamp;
use crate::sys;

/// From 1582-10-15 to 1970, in units of 100 ns: RFC 9562, 5.1.
const GREGORIAN: i128 = 0x01b2_1dd2_1381_4000;

/// The UUID that `--uuid` asks for, in the words of mke2fs(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidChoice {
    /// This one.
    Given(Uuid),
    /// A random one, even under `SOURCE_DATE_EPOCH`.
    Random,
    /// One made from the time and random bytes.
    Time,
    /// None: zeros.
    Clear,
}

impl std::str::FromStr for UuidChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // mke2fs ignores case, and takes `null` for `clear`.
        match text.to_ascii_lowercase().as_str() {
            "random" => Ok(Self::Random),
            "time" => Ok(Self::Time),
            "clear" | "null" => Ok(Self::Clear),
            _ => text.parse().map(Self::Given).map_err(|error| format!("{error}; or random, time, clear")),
        }
    }
}

impl UuidChoice {
    /// The UUID; `now` is for the time-based one.
    pub(super) fn bytes(self, now: Timestamp) -> Result<[u8; 16], Failure> {
        match self {
            Self::Given(uuid) => Ok(uuid.into_bytes()),
            Self::Clear => Ok([0; 16]),
            Self::Random => random(),
            Self::Time => {
                // Units of 100 ns since 1582, a 14-bit sequence number against clocks set back, and a random node id,
                // whose multicast bit says that it is not a network card's.
                let ticks = i128::from(now.secs) * 10_000_000 + i128::from(now.nanos / 100) + GREGORIAN;
                let ticks = u64::try_from(ticks).unwrap_or(0);
                let [a, b, c, d, e, f, g, h, ..] = random()?;
                let node = [c | 1, d, e, f, g, h];
                let counter = u16::from_be_bytes([a & 0x3f, b]);
                Ok(uuid::Builder::from_gregorian_timestamp(ticks, counter, &node).into_uuid().into_bytes())
            }
        }
    }
}

/// A random UUID.
pub(super) fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    sys::random(&mut bytes).map_err(Failure::failed)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_mke2fs() {
        for (text, choice) in [
            ("random", UuidChoice::Random),
            ("RANDOM", UuidChoice::Random),
            ("Time", UuidChoice::Time),
            ("clear", UuidChoice::Clear),
            ("NULL", UuidChoice::Clear),
            ("00000000-0000-0000-0000-000000000000", UuidChoice::Given(Uuid::nil())),
        ] {
            assert_eq!(text.parse(), Ok(choice), "{text}");
        }
        for bad in ["", "none", "1234"] {
            assert!(bad.parse::<UuidChoice>().is_err(), "{bad}");
        }
    }
}
