use std::io;
use std::path::{Path, PathBuf};

use crate::image::select::SelectError;
use crate::image::{ConfigError, Digest, DigestError, DocumentError, ReferenceError, layer_manifest};
use crate::{registry, store};

/// Why an image could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of the image is not valid.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The digest in the name of the image is not valid.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// There is no image at a path.
    #[error("{path}: {what}", path = .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What it is or is not.
        what: String,
    },
    /// The name has the prefix of another tool's storage.
    #[error("{text}: images of {prefix} are not read; this is: {instead}")]
    Transport {
        /// The name.
        text: String,
        /// Its prefix.
        prefix: &'static str,
        /// What to type instead.
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
    /// A layer cannot be fetched.
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
    /// An index or manifest is not usable.
    #[error("{image}: {digest}: {source}")]
    Document {
        /// What was asked for.
        image: String,
        /// Which document.
        digest: Digest,
        /// Why.
        source: DocumentError,
    },
    /// A config is not usable.
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
    /// A document is too long, or its length differs from what was declared.
    #[error("{image}: {digest}: {what}")]
    Size {
        /// What was asked for.
        image: String,
        /// Which document or layer.
        digest: Digest,
        /// The numbers.
        what: String,
    },
    /// No thread could be started to fetch.
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
    /// The error for an input that the user named; `-` is standard input.
    pub(super) fn of_input(path: &Path, what: &str) -> Self {
        let path = if path == Path::new("-") { "standard input".into() } else { path.into() };
        Self::Path { path, what: what.into() }
    }
}
