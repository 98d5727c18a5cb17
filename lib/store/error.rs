use std::io;
use std::path::{Path, PathBuf};

use crate::image::Digest;

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A directory that should be an image layout is not one.
    #[error("{path}: not an OCI image layout (no index.json)", path = .path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that should become a store contains other things.
    #[error("{path}: neither empty nor an OCI image layout, so no blob store is made there", path = .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// There is something else in the place of a file of the store.
    #[error("{path}: is {found} where a regular file is due", path = .path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// There is something else in the place of a directory of the store.
    #[error("{path}: is {found} where a directory is due", path = .path.display())]
    NotADirectory {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Others may write to a store that is not shared with them.
    #[error("{path}: not used as a blob store, since {writers}", path = .path.display())]
    OpenToOthers {
        /// The directory or file.
        path: PathBuf,
        /// Who.
        writers: String,
    },
    /// Another process keeps a lock.
    #[error("{path}: another process has held this lock for more than {seconds} s", path = .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// The time spent waiting for it.
        seconds: u64,
    },
    /// A document is too long.
    #[error("{path}: longer than {max} bytes", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// Bytes do not match their digest or size (R1).
    #[error("{path}: {mismatch}", path = .path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// How they differ.
        mismatch: Mismatch,
    },
    /// `index.json` is not valid.
    #[error("{path}: not a valid image index: {source}", path = .path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
}

/// How a blob differs from its descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The bytes differ.
    #[error("the bytes have digest {found}, not {expected}")]
    Digest {
        /// What the descriptor says.
        expected: Digest,
        /// What the bytes say.
        found: Digest,
    },
    /// There are too few or too many bytes.
    #[error("{found} bytes where {expected} are due")]
    Size {
        /// What the descriptor says.
        expected: u64,
        /// What is there.
        found: u64,
    },
}

impl Error {
    pub(super) fn at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), what, source }
    }
}
