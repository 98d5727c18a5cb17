//! The file that an error is about, where the error itself cannot know its name.

use std::error::Error;
use std::path::{Path, PathBuf};

/// An error with the name of the file that was read or written before it.
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
