//! Where the content of files stands until it is written out.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::files::{FileVersion, Files};
use super::output::{CopyError, TarOutput};
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

/// A file that content is read from where it stands.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) file: Arc<File>,
    /// What it was when it began to be read.
    pub(super) version: FileVersion,
    /// What its layer is called in messages.
    pub(super) label: String,
}

impl SourceFile {
    /// Whether nobody has written to the file since it began to be read.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        Ok(FileVersion::of(&self.file)? == self.version)
    }
}

/// What holds the content of a layer's files.
#[derive(Debug)]
pub(super) enum ContentSource {
    /// A plain tar, the layer itself.
    Tar(SourceFile),
    /// What was decoded.
    Spool(Spool),
    /// A directory on this machine.
    Directory(Files),
}

impl ContentSource {
    /// Writes stored bytes of a tar out; of a spool each byte once.
    pub(super) fn copy(&mut self, at: u64, len: u64, out: &mut TarOutput<'_>) -> Result<(), CopyError> {
        match self {
            Self::Tar(tar) => out.copy(&tar.file, at, len),
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
