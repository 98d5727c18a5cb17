//! Blobs that were written to since they were verified.
//!
//! A blob is verified once, while it arrives, and then only renamed: so its last change (ctime) is after its last write
//! (mtime). To be sure of that whatever a clock's grain, the mtime is set a little into the past. Who writes to it later
//! makes the two equal, as one does who copied it there; such a blob is read and verified before it is used. Damage that
//! leaves no such trace is found by who decodes the layer (F12), and makes the two equal then.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Error, Mismatch};
use crate::image::{Digest, Hasher};
use crate::relay::PageBuffer;
use crate::sys::try_lock_shared;

/// How long a blob counts as just used, in seconds: much less than what those spare who prune.
const GRAIN: u64 = 3600;

/// How far the time of the last write is set into the past.
const MARGIN: Duration = Duration::from_secs(2);

/// Says that what was written to `file` so far is verified, or is about to be before it has a name.
pub(super) fn mark(file: &File) -> io::Result<()> {
    file.set_modified(SystemTime::now() - MARGIN)
}

/// Verifies a blob that was written to since it was verified.
///
/// # Errors
/// [`Error::Mismatch`] when it is damaged.
pub(super) fn check(file: &File, meta: &Metadata, digest: &Digest, path: &Path) -> Result<(), Error> {
    if meta.ctime().saturating_sub(meta.mtime()) >= 1 {
        return Ok(());
    }
    log::info!("{digest}: written to since it was verified, verifying it");
    let found = hash(file, digest).map_err(Error::at(path, "cannot read the blob"))?;
    if found != *digest {
        let mismatch = Mismatch::Digest { expected: digest.clone(), found };
        return Err(Error::Mismatch { path: path.to_path_buf(), mismatch });
    }
    // Others' files stay as they are, and are verified every time.
    let _ = mark(file);
    Ok(())
}

/// Lets a blob that is about to be used look as if it were new, so that nobody prunes it; `false` when somebody just did.
pub(super) fn keep(file: &File, meta: &Metadata) -> io::Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let changed = u64::try_from(meta.ctime()).unwrap_or(0);
    if now.saturating_sub(changed) < GRAIN {
        return Ok(true);
    }
    // Who prunes holds it for an instant; another may hold it for ever, which then does no harm.
    for _ in 0..100 {
        if try_lock_shared(file)? {
            let is_there = file.metadata()?.nlink() > 0;
            // A blob that is somebody else's stays as it is.
            let _ = mark(file);
            return Ok(is_there);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}

fn hash(mut file: &File, digest: &Digest) -> io::Result<Digest> {
    let mut hasher = Hasher::new(digest.algorithm());
    let mut buffer = PageBuffer::with_capacity(256 << 10);
    loop {
        buffer.clear();
        let more = buffer.fill(&mut file)?;
        hasher.update(&buffer);
        if !more {
            return Ok(hasher.finish());
        }
    }
}
