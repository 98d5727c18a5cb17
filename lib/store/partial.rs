//! Blobs on their way: partial files that survive a kill and are carried on with (R2).

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::flush::Flusher;
use super::hash_behind::HashBehind;
use super::{Error, Mismatch, Store, wait};
use crate::image::{Digest, Hasher};
use crate::relay::PageBuffer;

/// What [`Store::claim`] finds.
#[derive(Debug)]
pub enum Claim {
    /// The blob is there, whole.
    Present(PathBuf),
    /// It is this caller's to fetch.
    Partial(Box<Partial>),
}

/// A blob that is being written, locked against other writers. Dropping it keeps what has arrived.
#[derive(Debug)]
pub struct Partial {
    store: Store,
    digest: Digest,
    size: u64,
    path: PathBuf,
    file: File,
    hash: HashBehind,
    offset: u64,
    flusher: Flusher,
}

pub(super) fn claim(store: &Store, digest: &Digest, size: u64) -> Result<Claim, Error> {
    let path = store.root.join("partial").join(format!("{}.{}", digest.algorithm().name(), digest.hex()));
    loop {
        if let Some(path) = store.blob(digest, size) {
            return Ok(Claim::Present(path));
        }
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(Error::at(&path, "cannot open the partial blob"))?;
        let what = || {
            let there = file.metadata().map_or(0, |meta| meta.len());
            format!("{digest}: waiting for another process that fetches it, {there} of {size} bytes are there")
        };
        wait::lock(&file, what).map_err(Error::at(&path, "cannot lock the partial blob"))?;
        // Whoever held the lock may have made the file the blob, or thrown it away: then it is not ours to write.
        let held = file.metadata().map_err(Error::at(&path, "cannot examine the partial blob"))?;
        match fs::metadata(&path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {}
            _ => continue,
        }
        // And between our look and our lock another may have come and gone.
        if let Some(whole) = store.blob(digest, size) {
            let _ = fs::remove_file(&path);
            return Ok(Claim::Present(whole));
        }
        let hash = HashBehind::new(digest.algorithm());
        let store = store.clone();
        let (digest, flusher) = (digest.clone(), Flusher::default());
        let mut partial = Partial { store, digest, size, path, file, hash, offset: 0, flusher };
        partial.resume()?;
        return Ok(Claim::Partial(Box::new(partial)));
    }
}

impl Partial {
    /// Bytes that have arrived.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the whole blob.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hashes what an earlier run left.
    fn resume(&mut self) -> Result<(), Error> {
        let fail = |e| Error::at(&self.path, "cannot read the partial blob")(e);
        let len = self.file.metadata().map_err(fail)?.len();
        if len == 0 {
            return Ok(());
        }
        if len > self.size {
            return self.restart();
        }
        let mut buffer = PageBuffer::with_capacity(256 << 10);
        loop {
            buffer.clear();
            match buffer.read_from(&mut self.file, usize::MAX) {
                Ok(0) => break,
                Ok(n) => {
                    self.hash.settled().update(&buffer);
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::at(&self.path, "cannot read the partial blob")(e)),
            }
        }
        log::info!("{}: {} of {} bytes are there from an earlier run", self.digest, self.offset, self.size);
        Ok(())
    }

    /// Throws away what has arrived.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn restart(&mut self) -> Result<(), Error> {
        let cut = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cut.map_err(Error::at(&self.path, "cannot restart the partial blob"))?;
        self.hash = HashBehind::new(self.digest.algorithm());
        self.offset = 0;
        Ok(())
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// When they go beyond the blob's size, or cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.append(bytes)?;
        self.hash.settled().update(bytes);
        Ok(())
    }

    /// Adds what `buffer` holds, hashed by another thread; returns a buffer to fill next, of any state.
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

    /// Adds `count` bytes of zeros as a hole of the file.
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

    /// Checks size and digest and gives the blob its name. A blob that is wrong is thrown away.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the bytes are not the blob's; others when the file system refuses.
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
        fs::rename(&self.path, &path).map_err(Error::at(&path, "cannot give the blob its name"))?;
        Ok(path)
    }

    /// Whether all bytes are there and right.
    ///
    /// # Errors
    /// How they differ.
    pub fn verify(&mut self) -> Result<(), Mismatch> {
        if self.offset != self.size {
            return Err(Mismatch::Size { expected: self.size, found: self.offset });
        }
        let found = self.hash.settled().clone().finish();
        match found == self.digest {
            true => Ok(()),
            false => Err(Mismatch::Digest { expected: self.digest.clone(), found }),
        }
    }

    fn mismatch(&self, mismatch: Mismatch) -> Error {
        Error::Mismatch { path: self.path.clone(), mismatch }
    }
}

/// Lets `file`, which ends where it is being written, end at `end` with a hole before it.
pub(super) fn skip(file: &mut File, end: u64) -> io::Result<()> {
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end)).map(|_| ())
}

pub(super) fn hash_zeros(hasher: &mut Hasher, mut count: u64) {
    let zeros = [0; 64 << 10];
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(usize::MAX).min(zeros.len());
        hasher.update(&zeros[..now]);
        count -= now as u64;
    }
}
