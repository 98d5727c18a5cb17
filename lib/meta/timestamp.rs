/// A moment with nanoseconds, including before 1970 and after 2038.
///
/// The moment is `secs + nanos / 1e9` seconds after the Unix epoch, as in `struct timespec`: -0.25 s is
/// `secs: -1, nanos: 750_000_000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since the Unix epoch, rounded down.
    pub secs: i64,
    /// Nanoseconds after `secs`, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self { secs: 0, nanos: 0 };

    /// A moment at a whole second.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self { secs, nanos: 0 }
    }
}
