//! Recognises blobs that were modified since they were verified.
//!
//! A blob is verified once, while it arrives, and then only renamed, so its ctime is later than its mtime; to be sure of
//! that with coarse clocks, the mtime is set a little into the past. A later write makes the two equal, and so does copying
//! a blob into the store; such a blob is read and verified before it is used. Damage that leaves no such trace is found
//! when the layer is decoded (F12), which then makes the two equal.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use super::{Error, Mismatch, clock};
use crate::image::{Digest, Hasher};
use crate::relay::PageBuffer;
use crate::sys::try_lock_shared;

/// How long a blob counts as just used, in seconds; much less than the age that pruning spares.
const GRAIN: u64 = 3600;

/// How far the mtime is set into the past.
const MARGIN: Duration = Duration::from_secs(2);

/// Marks the content of `file` as verified; if it is not yet, it has to be before the file gets a name.
pub(super) fn mark(file: &File) -> io::Result<()> {
    file.set_modified(SystemTime::now() - MARGIN)
}

/// Verifies a blob if it was modified since it was verified.
///
/// # Errors
/// [`Error::Mismatch`] when it is damaged.
pub(super) fn check(file: &File, meta: &Metadata, digest: &Digest, path: &Path) -> Result<(), Error> {
    if meta.ctime().saturating_sub(meta.mtime()) >= 1 {
        return Ok(());
    }
    log::info!("{digest}: written to since it was verified, verifying it");
    let mut hasher = Hasher::new(digest.algorithm());
    hash_rest(file, &mut hasher).map_err(Error::at(path, "cannot read the blob"))?;
    let found = hasher.finish();
    if found != *digest {
        let mismatch = Mismatch::Digest { expected: digest.clone(), found };
        return Err(Error::Mismatch { path: path.to_path_buf(), mismatch });
    }
    // This fails for other users' files, which are then verified every time.
    let _ = mark(file);
    Ok(())
}

/// Renews the ctime of a blob that is about to be used, so that it is not pruned; `false` if it just was.
pub(super) fn keep(file: &File, meta: &Metadata) -> io::Result<bool> {
    let now = clock::now();
    let changed = u64::try_from(meta.ctime()).unwrap_or(0);
    if now.saturating_sub(changed) < GRAIN {
        return Ok(true);
    }
    // Pruning holds the lock for an instant only. Somebody else may hold it for ever, which does no harm.
    for _ in 0..100 {
        if try_lock_shared(file)? {
            let is_there = file.metadata()?.nlink() > 0;
            // This fails for another user's blob, which stays as it is.
            let _ = mark(file);
            return Ok(is_there);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}

/// Hashes the rest of a file; returns how many bytes that is.
pub(super) fn hash_rest(mut file: &File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = PageBuffer::with_capacity(256 << 10);
    let mut count = 0;
    loop {
        buffer.clear();
        let more = buffer.fill(&mut file)?;
        hasher.update(&buffer);
        count += buffer.len() as u64;
        if !more {
            return Ok(count);
        }
    }
}
