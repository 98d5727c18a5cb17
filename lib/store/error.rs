use std::io;
use std::path::{Path, PathBuf};

use crate::image::Digest;

/// Why the store cannot do what was asked.
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
        /// What the system said.
        source: io::Error,
    },
    /// A directory that should be an image layout is none.
    #[error("{path}: not an OCI image layout (no index.json)", path = .path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that should become a store holds other things.
    #[error("{path}: neither empty nor an OCI image layout, so no blob store is made there", path = .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Something else stands where a file of the store is due.
    #[error("{path}: is {found} where a regular file is due", path = .path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Something else stands where a directory of the store is due.
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
        /// How long it was waited for.
        seconds: u64,
    },
    /// A document is longer than documents may be.
    #[error("{path}: longer than {max} bytes", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        max: u64,
    },
    /// Bytes are not what their digest or size says (R1).
    #[error("{path}: {mismatch}", path = .path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// How they differ.
        mismatch: Mismatch,
    },
    /// `index.json` cannot be understood.
    #[error("{path}: not a valid image index: {source}", path = .path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        source: serde_json::Error,
    },
}

/// How a blob differs from its descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Other bytes.
    #[error("the bytes have digest {found}, not {expected}")]
    Digest {
        /// What the descriptor says.
        expected: Digest,
        /// What the bytes say.
        found: Digest,
    },
    /// Too few or too many bytes.
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
