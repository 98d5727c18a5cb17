//! Where the content of files is until it is written out.

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
    /// The offset of its first stored byte; in a directory, the number of the file.
    pub(super) at: u64,
    /// Its size in bytes, holes included.
    pub(super) size: u64,
    /// Its data segments if it has holes; they are stored one after the other.
    #[allow(clippy::box_collection, reason = "a thin pointer: nearly every file is without")]
    pub(super) sparse: Option<Box<Vec<Segment>>>,
}

/// A file that content is read from in place.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) file: Arc<File>,
    /// Its version when reading began.
    pub(super) version: FileVersion,
    /// The name of its layer in messages.
    pub(super) label: String,
}

impl SourceFile {
    /// Whether the file has not been written to since reading began.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        Ok(FileVersion::of(&self.file)? == self.version)
    }
}

/// What holds the content of a layer's files.
#[derive(Debug)]
pub(super) enum ContentSource {
    /// A plain tar, the layer itself.
    Tar(SourceFile),
    /// The decoded content.
    Spool(Spool),
    /// A directory on this machine.
    Directory(Files),
}

impl ContentSource {
    /// Writes out stored bytes; those of a spool only once.
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

    /// How many bytes are stored: its size without the holes.
    pub(super) fn stored(&self) -> u64 {
        match &self.sparse {
            None => self.size,
            Some(segments) => segments.iter().map(|segment| segment.len).sum(),
        }
    }
}
