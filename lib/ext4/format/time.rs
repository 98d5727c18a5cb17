//! Times in inodes: 34 bits of seconds and 30 of nanoseconds, in two words.
//!
//! Format: "Inode Timestamps" in the kernel's ext4 documentation.

use crate::meta::Timestamp;

/// 1901-12-13: the earliest second.
const EARLIEST: i64 = -(1 << 31);
/// 2310-04-03: the last second that `e2fsck` does not take for a corrupt time before 1970.
///
/// The format reaches to 2446, but an old kernel wrote negative times into the rest of the range, and `e2fsck` "repairs" it
/// (E2).
const LATEST: i64 = (3 << 32) - (1 << 31) - 1;

/// The nearest time that an inode can hold.
#[must_use]
pub fn clamp_time(time: Timestamp) -> Timestamp {
    match time.secs {
        ..EARLIEST => Timestamp::from_secs(EARLIEST),
        EARLIEST..=LATEST => time,
        _ => Timestamp::from_secs(LATEST),
    }
}

/// Encodes the nearest possible time: the seconds, and a word with the nanoseconds and two more bits of seconds.
pub(crate) fn encode(time: Timestamp) -> (u32, u32) {
    let Timestamp { secs, nanos } = clamp_time(time);
    // The low word is signed; the epoch bits, 0 to 2, say how many times 2^32 is added to it.
    let [a, b, c, d, ..] = secs.to_le_bytes();
    let [.., epoch, _, _, _] = (secs + (1 << 31)).to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), (nanos << 2) | u32::from(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel decodes it.
    fn decode((secs, extra): (u32, u32)) -> Timestamp {
        Timestamp {
            secs: i64::from(i32::from_ne_bytes(secs.to_ne_bytes())) + (i64::from(extra & 3) << 32),
            nanos: extra >> 2,
        }
    }

    #[test]
    fn times_from_1901_to_2310_survive_and_others_become_the_nearest() {
        for secs in [-(1 << 31), -1, 0, 1, (1 << 31) - 1, 1 << 31, 1 << 32, 5_000_000_000, 10_737_418_239] {
            let time = Timestamp { secs, nanos: 999_999_999 };
            assert_eq!(decode(encode(time)), time);
            assert_eq!(clamp_time(time), time);
        }
        for secs in [-(1 << 31) - 1, i64::MIN] {
            assert_eq!(decode(encode(Timestamp { secs, nanos: 7 })), Timestamp::from_secs(-(1 << 31)), "{secs}");
        }
        for secs in [10_737_418_240, 1 << 34, i64::MAX] {
            assert_eq!(decode(encode(Timestamp { secs, nanos: 7 })), Timestamp::from_secs(10_737_418_239), "{secs}");
        }
    }
}
