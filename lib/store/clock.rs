//! The clock by which the use of names and blobs is recorded: whole seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
