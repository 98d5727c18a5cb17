//! Blobs being fetched: partial files that survive a kill and are resumed (R2).

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::directory::StoreDirectory;
use super::flush::Flusher;
use super::hash_behind::HashBehind;
use super::{Error, Mismatch, Store, verified, wait};
use crate::image::{Digest, Hasher};
use crate::relay::{PageBuffer, fitting};
use crate::sys::try_lock;

/// The result of [`Store::claim`].
#[derive(Debug)]
pub enum Claim {
    /// The blob is there and complete.
    Present(PathBuf),
    /// The caller has to fetch it.
    Partial(Box<PartialBlob>),
}

/// A blob that is being written, locked against other writers. Dropping it keeps what has arrived.
#[derive(Debug)]
pub struct PartialBlob {
    store: Store,
    digest: Digest,
    size: u64,
    /// The name of the partial file.
    name: String,
    /// No other run looks for this name, so the file is useless unless it is committed.
    is_private: bool,
    path: PathBuf,
    file: File,
    hash: HashBehind,
    offset: u64,
    flusher: Flusher,
}

impl Store {
    /// Stores a document under its digest.
    ///
    /// # Errors
    /// When `bytes` do not match `digest`, or cannot be written.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<PathBuf, Error> {
        match self.claim(digest, bytes.len() as u64)? {
            Claim::Present(path) => Ok(path),
            Claim::Partial(mut partial) => {
                partial.restart()?;
                partial.write(bytes)?;
                partial.commit()
            }
        }
    }

    /// Claims the blob of `digest` for writing. Waits as long as another process or thread is fetching it and progresses.
    ///
    /// # Errors
    /// When the partial file cannot be opened, locked or read.
    pub fn claim(&self, digest: &Digest, size: u64) -> Result<Claim, Error> {
        let directory = self.partial()?;
        let mut name = format!("{}.{}", digest.algorithm().name(), digest.hex());
        let mut is_private = false;
        loop {
            if let Some(path) = self.whole_blob(digest, size)? {
                return Ok(Claim::Present(path));
            }
            let file = match open(directory, &name) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                // In a shared store, the partial file may be accessible to another user only.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied && !is_private => {
                    (name, is_private) = (private(&name), true);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let path = directory.join(&name);
            let arrived = || file.metadata().map_or(0, |meta| meta.len());
            let what = || {
                format!(
                    "{digest}: waiting for another process that fetches it, {} of {size} bytes are there",
                    arrived()
                )
            };
            let locked = wait::lock(|| try_lock(&file), self.0.options.patience, arrived, what);
            if !locked.map_err(Error::at(&path, "cannot lock the partial blob"))? {
                log::warn!("{digest}: the process that fetches it gets no further; fetching it here too");
                (name, is_private) = (private(&name), true);
                continue;
            }
            // The previous holder of the lock may have made the file the blob, or discarded it; then it is not ours to
            // write.
            if !directory.holds(&name, &file) {
                continue;
            }
            // And another process may have come and gone between our check and our lock.
            if let Some(whole) = self.whole_blob(digest, size)? {
                let _ = directory.remove(&name);
                return Ok(Claim::Present(whole));
            }
            let hash = HashBehind::new(digest.algorithm());
            let store = self.clone();
            let (digest, flusher) = (digest.clone(), Flusher::default());
            let mut partial =
                PartialBlob { store, digest, size, name, is_private, path, file, hash, offset: 0, flusher };
            partial.resume()?;
            return Ok(Claim::Partial(Box::new(partial)));
        }
    }
}

/// A variant of the name that no other run looks for.
fn private(name: &str) -> String {
    format!("{name}.{:016x}", fastrand::u64(..))
}

/// Opens or creates the partial file of this name; `None` if the caller has to try again.
///
/// A file that the store did not make, such as a link to another file, is replaced and not written to.
fn open(directory: &StoreDirectory, name: &str) -> Result<Option<File>, Error> {
    let replace = |error: Error| {
        log::warn!("{error}; starting the blob again");
        directory.remove(name).map(|()| None)
    };
    let file = match directory.open_file(name, OFlags::RDWR, Mode::empty()) {
        Ok(Some(file)) => file,
        Ok(None) => {
            let new = directory.new_file(name)?;
            new.iter()
                .try_for_each(|file| directory.keep(file))
                .map_err(Error::at(&directory.join(name), "cannot make"))?;
            return Ok(new);
        }
        Err(error @ (Error::NotAFile { .. } | Error::OpenToOthers { .. })) => return replace(error),
        Err(error) => return Err(error),
    };
    let path = directory.join(name);
    let links = file.metadata().map_err(Error::at(&path, "cannot examine the partial blob"))?.nlink();
    match links {
        2.. => replace(Error::NotAFile { path, found: "a file with another name too" }),
        _ => Ok(Some(file)),
    }
}

impl PartialBlob {
    /// The number of bytes that have arrived.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The file that the bytes arrive in. Bytes that have arrived never change there (M4).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the whole blob in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hashes the bytes that an earlier run left.
    fn resume(&mut self) -> Result<(), Error> {
        let fail = |e| Error::at(&self.path, "cannot read the partial blob")(e);
        let len = self.file.metadata().map_err(fail)?.len();
        if len == 0 {
            return Ok(());
        }
        if len > self.size {
            return self.restart().map(drop);
        }
        self.offset = verified::hash_rest(&self.file, self.hash.settled()).map_err(fail)?;
        log::info!("{}: {} of {} bytes are there from an earlier run", self.digest, self.offset, self.size);
        Ok(())
    }

    /// Discards the bytes that have arrived, if any, and starts again in a new file, since somebody may be reading the
    /// old one (M4). Returns whether there is a new file.
    ///
    /// # Errors
    /// When no new file can be created.
    pub fn restart(&mut self) -> Result<bool, Error> {
        let fail = |e| Error::at(&self.path, "cannot restart the partial blob")(e);
        let had_bytes = self.file.metadata().map_err(fail)?.len() > 0;
        if had_bytes {
            let directory = self.store.partial()?;
            let (file, name) = loop {
                let name = private(&self.name);
                if let Some(file) = directory.new_file(&name)? {
                    break (file, name);
                }
            };
            // Locked before it gets the name that others look for, so nobody else can have the lock.
            let kept = directory.keep(&file).and_then(|()| try_lock(&file));
            match kept {
                Ok(_) => directory.rename(&name, directory, &self.name)?,
                Err(error) => {
                    let _ = directory.remove(&name);
                    return Err(fail(error));
                }
            }
            self.file = file;
            self.flusher = Flusher::default();
        }
        self.hash = HashBehind::new(self.digest.algorithm());
        self.offset = 0;
        Ok(had_bytes)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// When they exceed the blob's size, or cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.append(bytes)?;
        self.hash.settled().update(bytes);
        Ok(())
    }

    /// Appends the content of `buffer`, which another thread hashes; returns a buffer to fill next, with any content.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_buffer(&mut self, buffer: PageBuffer) -> Result<PageBuffer, Error> {
        self.append(&buffer)?;
        Ok(self.hash.add(buffer))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(self.mismatch(Mismatch::Size { expected: self.size, found: end }));
        }
        let written = self.file.write_all(bytes).and_then(|()| self.flusher.wrote(&self.file, bytes.len()));
        written.map_err(Error::at(&self.path, "cannot write the partial blob"))?;
        self.offset = end;
        Ok(())
    }

    /// Appends `count` zeros as a hole in the file.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_hole(&mut self, count: u64) -> Result<(), Error> {
        let end = self.offset.saturating_add(count);
        if end > self.size {
            return Err(self.mismatch(Mismatch::Size { expected: self.size, found: end }));
        }
        skip(&mut self.file, end).map_err(Error::at(&self.path, "cannot write the partial blob"))?;
        hash_zeros(self.hash.settled(), count);
        self.offset = end;
        Ok(())
    }

    /// Checks size and digest and gives the blob its name. A wrong blob is discarded.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the bytes are not the blob's, another one when the file system refuses.
    pub fn commit(mut self) -> Result<PathBuf, Error> {
        match self.verify() {
            Ok(()) => {}
            Err(mismatch) => {
                self.restart()?;
                return Err(self.mismatch(mismatch));
            }
        }
        let path = self.store.blob_path(&self.digest);
        self.flusher.finish(&self.file).map_err(Error::at(&self.path, "cannot sync the blob"))?;
        verified::mark(&self.file).map_err(Error::at(&self.path, "cannot set the blob's time"))?;
        let blobs = self.store.blobs_to_write(&self.digest)?;
        self.store.partial()?.rename(&self.name, blobs, self.digest.hex())?;
        self.is_private = false;
        Ok(path)
    }

    /// Checks that all bytes are there and match the digest.
    ///
    /// # Errors
    /// How they differ.
    pub fn verify(&mut self) -> Result<(), Mismatch> {
        if self.offset != self.size {
            return Err(Mismatch::Size { expected: self.size, found: self.offset });
        }
        let found = self.hash.settled().clone().finish();
        if found == self.digest { Ok(()) } else { Err(Mismatch::Digest { expected: self.digest.clone(), found }) }
    }

    fn mismatch(&self, mismatch: Mismatch) -> Error {
        Error::Mismatch { path: self.path.clone(), mismatch }
    }
}

impl Drop for PartialBlob {
    fn drop(&mut self) {
        if self.is_private {
            // If this fails, there is nothing else to try.
            let _ = self.store.partial().and_then(|directory| directory.remove(&self.name));
        }
    }
}

/// Extends `file`, which is being written at its end, by a hole up to `end`.
pub(super) fn skip(file: &mut File, end: u64) -> io::Result<()> {
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end)).map(|_| ())
}

pub(super) fn hash_zeros(hasher: &mut Hasher, mut count: u64) {
    let zeros = [0; 64 << 10];
    while count > 0 {
        let now = fitting(count, zeros.len());
        hasher.update(&zeros[..now]);
        count -= now as u64;
    }
}
