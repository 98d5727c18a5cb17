//! Blobs whose digest is known only after their last byte (archives, R7).

use std::io::Write;
use std::path::PathBuf;

use super::flush::Flusher;
use super::partial::{hash_zeros, skip};
use super::{Error, Store, verified};
use crate::image::{Algorithm, Digest, Hasher};
use crate::sys::{NewFile, path_of_open};

/// A file that will become a blob. It has no name, if the file system supports that, so that a kill leaves nothing.
#[derive(Debug)]
pub struct Import {
    store: Store,
    new: NewFile,
    hasher: Hasher,
    size: u64,
    flusher: Flusher,
}

impl Store {
    /// Starts a blob whose digest is not known yet.
    ///
    /// # Errors
    /// When no file can be created.
    pub fn import(&self) -> Result<Import, Error> {
        let dir = self.partial()?;
        let new = NewFile::new_in(&dir.through(""), "import").and_then(|new| dir.keep(new.file()).map(|()| new));
        let new = new.map_err(Error::at(dir.path(), "cannot make a file"))?;
        let (store, hasher, flusher) = (self.clone(), Hasher::new(Algorithm::Sha256), Flusher::default());
        Ok(Import { store, new, hasher, size: 0, flusher })
    }
}

impl Import {
    /// A path by which others can open the file that the bytes arrive in, if there is one. Bytes that have arrived never
    /// change there (M4).
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        path_of_open(self.new.file())
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = self.new.file_mut();
        let written = file.write_all(bytes).and_then(|()| self.flusher.wrote(file, bytes.len()));
        written.map_err(Error::at(self.store.root(), "cannot write a blob"))?;
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Appends `count` zeros as a hole in the file.
    ///
    /// # Errors
    /// When the file cannot be that long.
    pub fn write_hole(&mut self, count: u64) -> Result<(), Error> {
        self.size = self.size.saturating_add(count);
        skip(self.new.file_mut(), self.size).map_err(Error::at(self.store.root(), "cannot write a blob"))?;
        hash_zeros(&mut self.hasher, count);
        Ok(())
    }

    /// Gives the blob its name; returns its digest (SHA-256), size in bytes and path.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn finish(self) -> Result<(Digest, u64, PathBuf), Error> {
        let Self { store, new, hasher, size, mut flusher } = self;
        let digest = hasher.finish();
        if let Some(path) = store.whole_blob(&digest, size)? {
            return Ok((digest, size, path));
        }
        flusher.finish(new.file()).map_err(Error::at(store.root(), "cannot sync a blob"))?;
        let (blobs, path) = (store.blobs_to_write(&digest)?, store.blob_path(&digest));
        // The name may be taken by a wrong blob of another size.
        let _lock = store.lock()?;
        verified::mark(new.file()).map_err(Error::at(&path, "cannot set the blob's time"))?;
        new.persist(&blobs.through(digest.hex())).map_err(Error::at(&path, "cannot give the blob its name"))?;
        Ok((digest, size, path))
    }
}
