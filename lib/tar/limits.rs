//! How much of an archive is believed: lengths are bounded before they are allocated (I3), memory by what is read (S5).

/// The longest name or link target that an `L` or `K` member may hold, and a PAX record in effect: sixteen times
/// Linux' `PATH_MAX`.
pub(super) const MAX_NAME: u64 = 16 * 4096;
/// The most that a PAX header may hold: 16 MiB.
pub(super) const MAX_PAX: u64 = 1 << 24;
/// The most that may be in effect from `g` members: 64 KiB, for every member may take a copy.
pub(super) const MAX_GLOBALS: usize = 1 << 16;
/// The most of it that may be names and sparse maps: 4 KiB.
pub(super) const MAX_GLOBAL_NAMES: usize = 1 << 12;
