//! Limits on what an archive may claim: lengths are bounded before allocation (I3), memory by the bytes read (S5).

/// The longest name or link target in an `L` or `K` member, and effectively in a PAX record: sixteen times Linux'
/// `PATH_MAX`.
pub(super) const MAX_NAME: u64 = 16 * 4096;
/// The largest PAX header: 16 MiB.
pub(super) const MAX_PAX: u64 = 1 << 24;
/// The most that may be in effect from `g` members: 64 KiB, because every member may take a copy.
pub(super) const MAX_GLOBALS: usize = 1 << 16;
/// How much of that may be names and sparse maps: 4 KiB.
pub(super) const MAX_GLOBAL_NAMES: usize = 1 << 12;
