//! The bytes of a layer as they are stored.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Meter;
use super::files::Version;
use crate::codec::Compression;
use crate::image::{Digest, Hasher};

/// An opened tar, of any compression.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) file: Arc<File>,
    /// Whether it is a plain tar in a regular file, as far as that can be known before it is read.
    pub(super) is_plain: bool,
    /// How long it is; unknown for what is no regular file.
    pub(super) size: Option<u64>,
    /// What it is now.
    pub(super) version: Version,
    /// Whether nobody writes to it: content can be read from it after it was verified.
    pub(super) is_frozen: bool,
}

impl Blob {
    /// Looks at an opened file.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let stat = file.metadata()?;
        if stat.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let is_plain = stat.is_file() && is_plain(&file)?;
        let size = stat.is_file().then_some(stat.len());
        Ok(Self { size, is_plain, version: (&stat).into(), is_frozen: false, file: Arc::new(file) })
    }

    /// A stream that may begin anywhere in a file: all of its content is spooled.
    pub(super) fn streamed(file: File) -> io::Result<Self> {
        let stat = file.metadata()?;
        if stat.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self { size: None, is_plain: false, version: (&stat).into(), is_frozen: false, file: Arc::new(file) })
    }
}

fn is_plain(file: &File) -> io::Result<bool> {
    let mut head = [0; Compression::MAGIC_LEN];
    let mut len = 0;
    while len < head.len() {
        match file.read_at(&mut head[len..], len as u64)? {
            0 => break,
            more => len += more,
        }
    }
    // What is not supported is refused when it is decoded.
    Ok(matches!(Compression::of(&head[..len]), Ok(Compression::Plain)))
}

/// Reads a blob from its beginning, tells how far it is, and hashes it where that is wanted.
pub(super) struct Stored<'b> {
    file: &'b File,
    count: u64,
    meter: Option<Box<dyn Meter>>,
    hasher: Option<Hasher>,
}

impl<'b> Stored<'b> {
    pub(super) fn new(blob: &'b Blob, meter: Option<Box<dyn Meter>>, hasher: Option<Hasher>) -> Self {
        Self { file: &blob.file, count: 0, meter, hasher }
    }

    /// The whole blob was read: its digest, if it was to be hashed.
    pub(super) fn end(self) -> Option<Digest> {
        if let Some(meter) = self.meter {
            meter.end();
        }
        self.hasher.map(Hasher::finish)
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buf)?;
        self.count += len as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..len]);
        }
        if let Some(meter) = &mut self.meter {
            meter.at(self.count);
        }
        Ok(len)
    }
}
