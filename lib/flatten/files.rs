//! The regular files of a directory layer, which are not read until the result is written.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use super::listed_names::{ListedNames, NameId};
use crate::sys::open_beneath;

/// The regular files of a directory, by number.
#[derive(Debug)]
pub(super) struct Files {
    root: File,
    /// Their names, and those of the directories above them.
    pub(super) names: ListedNames,
    list: Vec<ListedFile>,
}

#[derive(Debug)]
struct ListedFile {
    name: NameId,
    version: FileVersion,
}

/// Identifies an inode in its present state: it differs after any change of content or attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    /// The time of the last change, in seconds and nanoseconds.
    ctime: (i64, i64),
}

impl FileVersion {
    /// The version of an open file or directory.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// Whether it is on the same device as `other`.
    pub(super) fn is_on_device_of(&self, other: &Self) -> bool {
        self.device == other.device
    }
}

impl From<&Metadata> for FileVersion {
    fn from(stat: &Metadata) -> Self {
        let ctime = (stat.ctime(), stat.ctime_nsec());
        Self { device: stat.dev(), inode: stat.ino(), size: stat.size(), ctime }
    }
}

impl Files {
    /// An empty list of files below the directory `root`.
    pub(super) fn new(root: File) -> Self {
        Self { root, names: ListedNames::new(), list: Vec::new() }
    }

    /// Adds a file and returns its number.
    pub(super) fn push(&mut self, name: NameId, stat: &Metadata) -> u64 {
        self.list.push(ListedFile { name, version: stat.into() });
        self.list.len() as u64 - 1
    }

    /// Opens a file, if it is still the one that was listed. Follows no symbolic link and never waits for a FIFO.
    pub(super) fn open(&self, number: u64) -> io::Result<Option<File>> {
        let Some(listed) = self.listed(number) else { return Ok(None) };
        let file = open_beneath(self.root.as_fd(), &self.names.path(listed.name))?;
        Ok(self.is_unchanged(number, &file)?.then_some(file))
    }

    /// Whether an opened file is still the one that was listed.
    pub(super) fn is_unchanged(&self, number: u64, file: &File) -> io::Result<bool> {
        let now = FileVersion::of(file)?;
        Ok(self.listed(number).is_some_and(|listed| listed.version == now))
    }

    fn listed(&self, number: u64) -> Option<&ListedFile> {
        self.list.get(usize::try_from(number).ok()?)
    }
}
