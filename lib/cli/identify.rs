//! The identity that `tar2ext4` gives a file system (S6).

use std::time::SystemTime;

use super::uuid_choice::random;
use super::{Failure, Tar2ext4, source_date_epoch};
use crate::ext4::Identity;
use crate::meta::Timestamp;
use crate::pack::Identify;

impl Tar2ext4 {
    /// Derived from the content with `SOURCE_DATE_EPOCH`, otherwise random and dated now.
    ///
    /// # Errors
    /// When `SOURCE_DATE_EPOCH` is no time, or the system has no random bytes.
    pub fn identify(&self) -> Result<Identify, Failure> {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let clock = Timestamp { secs: i64::try_from(clock.as_secs()).unwrap_or(i64::MAX), nanos: clock.subsec_nanos() };
        let epoch = source_date_epoch()?;
        let now = epoch.unwrap_or(clock);
        let uuid = self.uuid.map(|choice| choice.bytes(now)).transpose()?;
        // e2fsck complains about a write in the future (E2); the current time would differ from run to run (S6).
        let last_write = if now.secs > clock.secs { Timestamp::EPOCH } else { now };
        if epoch.is_some() {
            return Ok(Identify::ByContent { uuid, now, last_write });
        }
        let uuid = uuid.map_or_else(random, Ok)?;
        Ok(Identify::As(Identity { uuid, hash_seed: random()?, now, last_write }))
    }
}
