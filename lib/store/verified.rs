//! Blobs that were written to since they were verified.
//!
//! A blob is verified once, while it arrives, and then only renamed: so its last change (ctime) is after its last write
//! (mtime). To be sure of that whatever a clock's grain, the mtime is set a little into the past. Who writes to it later
//! makes the two equal, as one does who copied it there; such a blob is read and verified before it is used. Damage that
//! leaves no such trace is found by who decodes the layer (F12).

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Error, Mismatch};
use crate::image::{Digest, Hasher};
use crate::relay::PageBuffer;

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
