//! Adds a file name to errors that do not know it.

use std::error::Error;
use std::path::{Path, PathBuf};

/// An error, preceded by the name of the file that was being read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct AtPath<E: Error + 'static> {
    path: PathBuf,
    source: E,
}

impl<E: Error + 'static> AtPath<E> {
    /// `source`, which happened at `path`.
    pub fn new(path: &Path, source: E) -> Self {
        Self { path: path.into(), source }
    }
}
