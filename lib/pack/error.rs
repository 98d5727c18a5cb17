use std::io;

use crate::ext4::{self, InodeError, Origin};
use crate::meta::Shown;
use crate::{tar, tree};

/// Why a tar stream did not become an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream cannot be read, or is no tar.
    #[error(transparent)]
    Tar(#[from] tar::Error),
    /// A member that no image can hold.
    #[error("{} at byte {offset}: {problem}", Shown(member))]
    Member {
        /// Its name, as stored.
        member: Vec<u8>,
        /// The offset of its first header in the stream, in bytes.
        offset: u64,
        /// What is wrong with it.
        #[source]
        problem: Box<EntryError>,
    },
    /// An entry that no image can hold.
    #[error("{}: {problem}", Shown(path))]
    Entry {
        /// Its path, as given.
        path: Vec<u8>,
        /// What is wrong with it.
        #[source]
        problem: Box<EntryError>,
    },
    /// A member that has no place in the tree.
    #[error("at byte {offset}: {source}")]
    Tree {
        /// The offset of its first header in the stream, in bytes.
        offset: u64,
        /// Which one, and why.
        source: tree::Error,
    },
    /// The tree is inconsistent at the end.
    #[error(transparent)]
    Links(tree::Error),
    /// The stream ends where another member or the end marker could follow (S1).
    #[error(
        "at byte {offset}: the archive ends without its end marker, two zero blocks: it may be cut \
         (--allow-missing-eof accepts it)"
    )]
    NoEndMarker {
        /// Where the stream ends, in bytes.
        offset: u64,
    },
    /// The stream is empty.
    #[error("at byte 0: the archive is empty, it has not even an end marker: did the program before this one fail?")]
    Empty,
    /// The stream cannot be opened, or fails after the end marker.
    #[error("reading the archive: {0}")]
    Input(#[source] io::Error),
    /// The image cannot be written.
    #[error(transparent)]
    Image(ext4::Error),
}

impl Error {
    /// The image's error, whether it concerns a member or not.
    #[must_use]
    pub fn image(&self) -> Option<&ext4::Error> {
        match self {
            Self::Image(error) => Some(error),
            Self::Member { problem, .. } | Self::Entry { problem, .. } => match &**problem {
                EntryError::Image(error) => Some(error),
                EntryError::Inode(_) => None,
            },
            _ => None,
        }
    }

    pub(super) fn entry(path: &[u8], problem: EntryError) -> Self {
        Self::Entry { path: path.to_vec(), problem: Box::new(problem) }
    }

    /// The problem of a member. An error of the archive within the member's data knows its own place.
    pub(super) fn of_member(member: Vec<u8>, offset: u64, problem: EntryError) -> Self {
        match problem {
            EntryError::Image(ext4::Error::Input(error)) => match tar::Error::try_from(error) {
                Ok(error) => Self::Tar(error),
                Err(error) => Self::member(member, offset, EntryError::Image(ext4::Error::Input(error))),
            },
            EntryError::Image(error) => match content_of(&error) {
                Some(Origin { name, offset }) => Self::member(name, offset, EntryError::Image(error)),
                None => Self::member(member, offset, EntryError::Image(error)),
            },
            problem => Self::member(member, offset, problem),
        }
    }

    /// An error after the end of the archive.
    pub(super) fn of_image(error: ext4::Error) -> Self {
        match content_of(&error) {
            Some(Origin { name, offset }) => Self::member(name, offset, EntryError::Image(error)),
            None => Self::Image(error),
        }
    }

    /// The same for an image that is built without an archive.
    pub(super) fn of_built_image(error: ext4::Error) -> Self {
        match content_of(&error) {
            Some(Origin { name, .. }) => Self::entry(&name, EntryError::Image(error)),
            None => Self::Image(error),
        }
    }

    fn member(member: Vec<u8>, offset: u64, problem: EntryError) -> Self {
        Self::Member { member, offset, problem: Box::new(problem) }
    }
}

/// The file whose content could not be written; it may not be the one being read.
fn content_of(error: &ext4::Error) -> Option<Origin> {
    match error {
        ext4::Error::Write { origin, .. } => origin.as_deref().cloned(),
        _ => None,
    }
}

/// Why no image can hold a member (E10).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// ext4 cannot represent it.
    #[error(transparent)]
    Inode(#[from] InodeError),
    /// Its content cannot be written.
    #[error(transparent)]
    Image(ext4::Error),
}
