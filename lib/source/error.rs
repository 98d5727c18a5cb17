use std::io;
use std::path::{Path, PathBuf};

use crate::image::select::SelectError;
use crate::image::{ConfigError, Digest, DigestError, DocumentError, ReferenceError, layer_manifest};
use crate::{registry, store};

/// Why an image could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of the image cannot be understood.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The name of the image contains a wrong digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A path is nothing that holds an image.
    #[error("{path}: {what}", path = .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What it is or is not.
        what: String,
    },
    /// The name says another tool's way to keep images.
    #[error("{text}: images of {prefix} are not read; this is: {instead}")]
    Transport {
        /// The name.
        text: String,
        /// How it begins.
        prefix: &'static str,
        /// What to type.
        instead: String,
    },
    /// The source has no such image.
    #[error("{image}: {what}")]
    NotFound {
        /// What was asked for.
        image: String,
        /// Why it is not there, and what is.
        what: String,
    },
    /// The blob store or layout failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The registry failed.
    #[error("{image}: {source}")]
    Registry {
        /// What was asked for.
        image: String,
        /// Why.
        source: Box<registry::Error>,
    },
    /// A layer cannot be had.
    #[error("{image}: layer {layer} {digest}: {source}")]
    Layer {
        /// What was asked for.
        image: String,
        /// Which layer, 0 at the bottom.
        layer: usize,
        /// The layer's digest.
        digest: Digest,
        /// Why.
        source: Box<registry::Error>,
    },
    /// An index or manifest cannot be used.
    #[error("{image}: {digest}: {source}")]
    Document {
        /// What was asked for.
        image: String,
        /// Which document.
        digest: Digest,
        /// Why.
        source: DocumentError,
    },
    /// A config cannot be used.
    #[error("{image}: {digest}: {source}")]
    Config {
        /// What was asked for.
        image: String,
        /// The config's digest.
        digest: Digest,
        /// Why.
        source: ConfigError,
    },
    /// The index has no image for the platform.
    #[error("{image}: {source}")]
    Select {
        /// What was asked for.
        image: String,
        /// What there is.
        source: SelectError,
    },
    /// A document is longer than documents may be, or not as long as said.
    #[error("{image}: {digest}: {what}")]
    Size {
        /// What was asked for.
        image: String,
        /// Which document or layer.
        digest: Digest,
        /// The numbers.
        what: String,
    },
    /// There is no thread to be had that could fetch.
    #[error("{image}: no thread can be started: {source}")]
    Thread {
        /// What was asked for.
        image: String,
        /// What the system said.
        source: io::Error,
    },
    /// The layer manifest cannot be written.
    #[error("cannot write the layer manifest")]
    Manifest(#[from] layer_manifest::Error),
}

impl Error {
    /// What is wrong with an input that a user named; `-` is standard input.
    pub(super) fn of_input(path: &Path, what: &str) -> Self {
        let path = if path == Path::new("-") { "standard input".into() } else { path.into() };
        Self::Path { path, what: what.into() }
    }
}
