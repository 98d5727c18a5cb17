//! Blobs whose digest is known only when their last byte is there (archives, R7).

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD};

use super::{Error, Store};
use crate::image::{Algorithm, Digest, Hasher};

/// A file without a name (where the file system has those, so that a kill leaves nothing) that becomes a blob.
#[derive(Debug)]
pub struct Import {
    store: Store,
    file: File,
    temporary: Option<tempfile::TempPath>,
    hasher: Hasher,
    size: u64,
}

impl Import {
    pub(super) fn new(store: &Store) -> Result<Self, Error> {
        use rustix::fs::{Mode, OFlags};
        let dir = store.root.join("partial");
        let unnamed = rustix::fs::open(&dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from(0o666));
        let (file, temporary) = match unnamed {
            Ok(fd) => (File::from(fd), None),
            Err(_) => {
                let named = tempfile::Builder::new().prefix("import.").tempfile_in(&dir);
                let (file, path) = named.map_err(Error::at(&dir, "cannot make a file"))?.into_parts();
                (file, Some(path))
            }
        };
        Ok(Self { store: store.clone(), file, temporary, hasher: Hasher::new(Algorithm::Sha256), size: 0 })
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::at(&self.store.root, "cannot write a blob"))?;
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Gives the blob its name; returns its digest (SHA-256), size in bytes and path.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn finish(self) -> Result<(Digest, u64, PathBuf), Error> {
        let Self { store, file, temporary, hasher, size } = self;
        let digest = hasher.finish();
        if let Some(path) = store.blob(&digest, size) {
            return Ok((digest, size, path));
        }
        file.sync_data().map_err(Error::at(&store.root, "cannot sync a blob"))?;
        let path = store.blob_path(&digest);
        let named = match temporary {
            Some(temporary) => temporary.persist(&path).map_err(|e| e.error),
            None => link(&file, &store, &digest, &path),
        };
        named.map_err(Error::at(&path, "cannot give the blob its name"))?;
        Ok((digest, size, path))
    }
}

/// A link cannot replace a file (a wrong one of another size may stand there), so it goes by way of the partial name,
/// under that one's lock.
fn link(file: &File, store: &Store, digest: &Digest, path: &std::path::Path) -> std::io::Result<()> {
    let by_descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link_to = |to: &std::path::Path| rustix::fs::linkat(CWD, &by_descriptor, CWD, to, AtFlags::SYMLINK_FOLLOW);
    match link_to(path) {
        Err(rustix::io::Errno::EXIST) => {}
        other => return Ok(other?),
    }
    let aside = store.root.join("partial").join(format!("import.{}.{}", digest.hex(), std::process::id()));
    let _ = fs::remove_file(&aside);
    link_to(&aside)?;
    fs::rename(&aside, path)
}
