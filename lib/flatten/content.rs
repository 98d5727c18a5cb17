//! Where the content of files stands until it is written out.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::output::{CopyError, Output};
use super::spool::Spool;
use crate::tar::{FileLayout, Segment};

/// The content of one file: a range of a layer's [`ContentSource`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileRange {
    /// The layer's number.
    pub(super) layer: u32,
    /// Where its first stored byte stands; for a directory, the number of the file.
    pub(super) at: u64,
    /// Its size with its holes, in bytes.
    pub(super) size: u64,
    /// Its data segments when it has holes; they stand one after the other.
    #[allow(clippy::box_collection, reason = "a thin pointer: nearly every file is without")]
    pub(super) sparse: Option<Box<Vec<Segment>>>,
}

/// What holds the content of a layer's files.
#[derive(Debug)]
pub(super) enum ContentSource {
    /// A plain tar, the layer itself.
    Tar(Arc<File>),
    /// What was decoded.
    Spool(Spool),
    /// A directory on this machine.
    Directory(Files),
}

impl ContentSource {
    /// Writes stored bytes of a tar out; of a spool each byte once.
    pub(super) fn copy(&mut self, at: u64, len: u64, out: &mut Output<'_>) -> Result<(), CopyError> {
        match self {
            Self::Tar(file) => out.copy(file, at, len),
            Self::Spool(spool) => spool.copy(at, len, out),
            Self::Directory(_) => Err(CopyError::Read(io::ErrorKind::Unsupported.into())),
        }
    }
}

impl FileRange {
    /// Its size and holes.
    pub(super) fn layout(&self) -> FileLayout<'_> {
        FileLayout { size: self.size, sparse: self.sparse.as_ref().map(|segments| segments.as_slice()) }
    }

    /// Stored bytes: its size without its holes.
    pub(super) fn stored(&self) -> u64 {
        match &self.sparse {
            None => self.size,
            Some(segments) => segments.iter().map(|segment| segment.len).sum(),
        }
    }
}

/// The regular files of a directory, by number.
#[derive(Debug, Default)]
pub(super) struct Files {
    root: PathBuf,
    /// Paths below the root, one after the other.
    paths: Vec<u8>,
    list: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    /// Where the path ends in `paths`.
    end: usize,
    inode: u64,
    /// Seconds and nanoseconds of the last change of content or attributes.
    ctime: (i64, i64),
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, ..Self::default() }
    }

    /// Adds a file and returns its number.
    pub(super) fn push(&mut self, path: &[u8], stat: &std::fs::Metadata) -> u64 {
        self.paths.extend_from_slice(path);
        let ctime = (stat.ctime(), stat.ctime_nsec());
        self.list.push(Listed { end: self.paths.len(), inode: stat.ino(), ctime });
        self.list.len() as u64 - 1
    }

    /// The path of a file below the root.
    pub(super) fn path(&self, number: u64) -> &[u8] {
        let Some((at, file)) = usize::try_from(number).ok().and_then(|at| Some((at, self.list.get(at)?))) else {
            return b"";
        };
        let start = at.checked_sub(1).map_or(0, |before| self.list[before].end);
        &self.paths[start..file.end]
    }

    /// Opens a file, if it still is the one that was listed.
    pub(super) fn open(&self, number: u64) -> io::Result<Option<File>> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.root.join(std::ffi::OsStr::from_bytes(self.path(number)));
        // No symlink and no device takes the file's place, and no FIFO makes us wait.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        let stat = file.metadata()?;
        let listed = usize::try_from(number).ok().and_then(|at| self.list.get(at));
        let same = listed.is_some_and(|l| l.inode == stat.ino() && l.ctime == (stat.ctime(), stat.ctime_nsec()));
        Ok(same.then_some(file))
    }
}
