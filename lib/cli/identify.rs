//! The identity that `tar2ext4` gives a file system (S6).

use std::time::SystemTime;

use uuid::Uuid;

use super::{Failure, Tar2ext4, source_date_epoch};
use crate::ext4::Identity;
use crate::meta::Timestamp;
use crate::pack::Identify;
use crate::sys;

impl Tar2ext4 {
    /// From the content with `SOURCE_DATE_EPOCH`, else random and now.
    ///
    /// # Errors
    /// When `SOURCE_DATE_EPOCH` is no time, or the system has no random bytes.
    pub fn identify(&self) -> Result<Identify, Failure> {
        let uuid = self.uuid.map(Uuid::into_bytes);
        if let Some(now) = source_date_epoch()? {
            return Ok(Identify::ByContent { uuid, now });
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp { secs: now.as_secs().cast_signed(), nanos: now.subsec_nanos() };
        let uuid = uuid.map_or_else(random, Ok)?;
        Ok(Identify::As(Identity { uuid, hash_seed: random()?, now }))
    }
}

fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    sys::random(&mut bytes).map_err(Failure::failed)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes())
}
