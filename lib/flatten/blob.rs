//! The bytes of a layer as stored.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Meter;
use super::files::FileVersion;
use super::growth::{Growth, More};
use crate::codec::Compression;
use crate::image::{Digest, Hasher};
use crate::relay::fitting;
use crate::sys::uninterrupted;

/// An open tar, with any compression.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) file: Arc<File>,
    /// Whether it is an uncompressed tar in a regular file, judging by its first bytes.
    pub(super) is_plain: bool,
    /// Its size in bytes; unknown if it is not a regular file.
    pub(super) size: Option<u64>,
    /// The state of the file when it was opened.
    pub(super) version: FileVersion,
    /// Whether nobody will write to it, so that its content can still be read from it after verification.
    pub(super) is_frozen: bool,
    /// Present if it is still arriving.
    growth: Option<Arc<Growth>>,
}

impl Blob {
    /// Examines an open file.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let stat = file.metadata()?;
        if stat.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let is_plain = stat.is_file() && is_plain(&file)?;
        let size = stat.is_file().then_some(stat.len());
        Ok(Self { size, is_plain, version: (&stat).into(), is_frozen: false, growth: None, file: Arc::new(file) })
    }

    /// Waits for the first bytes of a blob that is arriving; `None` if it does not arrive.
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

    /// A stream that may start anywhere in a file, so all of its content has to be spooled.
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
    // An unsupported compression is refused by the decoder.
    Ok(matches!(Compression::of(&head[..len]), Ok(Compression::Plain)))
}

/// Reads a blob from its start, with progress and, if requested, its hash.
pub(super) struct BlobReader<'b> {
    file: &'b File,
    growth: Option<&'b Growth>,
    count: u64,
    meter: Option<Box<dyn Meter>>,
    hasher: Option<Hasher>,
}

impl<'b> BlobReader<'b> {
    pub(super) fn new(blob: &'b Blob, meter: Option<Box<dyn Meter>>, hasher: Option<Hasher>) -> Self {
        Self { file: &blob.file, growth: blob.growth.as_deref(), count: 0, meter, hasher }
    }

    /// Call this when the whole blob was read. Returns its digest, if requested.
    pub(super) fn end(self) -> Option<Digest> {
        if let Some(meter) = self.meter {
            meter.end();
        }
        self.hasher.map(Hasher::finish)
    }
}

impl BlobReader<'_> {
    /// Continues at the end of the last read, up to the blob's final size, and waits for bytes that are still to come.
    fn read_growing(&mut self, growth: &Growth, buf: &mut [u8]) -> io::Result<usize> {
        let limit = fitting(growth.size.saturating_sub(self.count), buf.len());
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

impl Read for BlobReader<'_> {
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
