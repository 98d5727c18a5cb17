//! The bytes of a layer as they are stored.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Meter;
use super::files::FileVersion;
use super::growth::{Growth, More};
use crate::codec::Compression;
use crate::image::{Digest, Hasher};
use crate::sys::uninterrupted;

/// An opened tar, of any compression.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) file: Arc<File>,
    /// Whether it is a plain tar in a regular file, as far as that can be known before it is read.
    pub(super) is_plain: bool,
    /// How long it is; unknown for what is no regular file.
    pub(super) size: Option<u64>,
    /// What it is now.
    pub(super) version: FileVersion,
    /// Whether nobody writes to it: content can be read from it after it was verified.
    pub(super) is_frozen: bool,
    /// It is still arriving.
    growth: Option<Arc<Growth>>,
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
        Ok(Self { size, is_plain, version: (&stat).into(), is_frozen: false, growth: None, file: Arc::new(file) })
    }

    /// A blob that is arriving; `None` if it never does.
    pub(super) fn growing(growth: &Arc<Growth>) -> io::Result<Option<Self>> {
        let magic = growth.size.min(Compression::MAGIC_LEN as u64);
        let mut round = 0;
        while growth.file.metadata()?.len() < magic {
            if growth.wait(round) != More::Perhaps {
                return Ok(None);
            }
            round += 1;
        }
        let mut blob = Self::new(growth.file.try_clone()?)?;
        (blob.size, blob.growth) = (Some(growth.size), Some(Arc::clone(growth)));
        Ok(Some(blob))
    }

    /// A stream that may begin anywhere in a file: all of its content is spooled.
    pub(super) fn streamed(file: File) -> io::Result<Self> {
        let stat = file.metadata()?;
        if stat.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self {
            size: None,
            is_plain: false,
            version: (&stat).into(),
            is_frozen: false,
            growth: None,
            file: Arc::new(file),
        })
    }
}

fn is_plain(file: &File) -> io::Result<bool> {
    let mut head = [0; Compression::MAGIC_LEN];
    let mut len = 0;
    while len < head.len() {
        match uninterrupted(|| file.read_at(&mut head[len..], len as u64))? {
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
    growth: Option<&'b Growth>,
    count: u64,
    meter: Option<Box<dyn Meter>>,
    hasher: Option<Hasher>,
}

impl<'b> Stored<'b> {
    pub(super) fn new(blob: &'b Blob, meter: Option<Box<dyn Meter>>, hasher: Option<Hasher>) -> Self {
        Self { file: &blob.file, growth: blob.growth.as_deref(), count: 0, meter, hasher }
    }

    /// The whole blob was read: its digest, if it was to be hashed.
    pub(super) fn end(self) -> Option<Digest> {
        if let Some(meter) = self.meter {
            meter.end();
        }
        self.hasher.map(Hasher::finish)
    }
}

impl Stored<'_> {
    /// Reads on where the last read ended, up to the size that the blob will have, and waits for what is still to come.
    fn read_growing(&mut self, growth: &Growth, buf: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(growth.size.saturating_sub(self.count)).unwrap_or(usize::MAX).min(buf.len());
        let (mut round, mut known) = (0, More::Perhaps);
        if growth.is_given_up() {
            return Err(io::Error::other("given up"));
        }
        loop {
            let len = uninterrupted(|| self.file.read_at(&mut buf[..limit], self.count))?;
            if len > 0 || limit == 0 || known == More::All {
                return Ok(len);
            }
            known = growth.wait(round);
            if known == More::GivenUp {
                return Err(io::Error::other("given up"));
            }
            round += 1;
        }
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = match self.growth {
            None => uninterrupted(|| self.file.read(buf))?,
            Some(growth) => self.read_growing(growth, buf)?,
        };
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
