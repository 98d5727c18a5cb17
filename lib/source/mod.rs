//! Where an image comes from: a registry, an OCI layout, an archive, or overlay2 directories (R rules).
//!
//! ```text
//! Locator::parse ──> registry:  documents ─┐
//!                    oci:       documents ─┼─> resolve ──> image record ──> layer records in order ──> end record
//!                    archives:  into store ┘   (index, platform, manifest, config)
//!                    overlay2:  directories ─────────────────────────────────┘
//! ```

mod archive;
mod emit;
mod error;
mod layout;
mod locator;
mod overlay2;
mod progress;
mod registry;
mod resolve;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

pub use error::Error;
pub use locator::Locator;
pub use progress::{Item, Meter, NoProgress, Outcome, Progress};

use crate::image::{Platform, layer_manifest};

/// How an image is fetched.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the blob store.
    pub store: PathBuf,
    /// The wanted platform; `None` is Linux on this machine's architecture, and then an image that is for one
    /// platform only is taken as it is.
    pub platform: Option<Platform>,
    /// Parallel downloads, at least 1.
    pub jobs: usize,
    /// Use nothing but the store.
    pub offline: bool,
    /// How registries are talked to.
    pub registry: crate::registry::Options,
}

/// Fetches the image and writes its layer manifest to `out`, each record as soon as it is true, all but the `end` record:
/// that is the caller's, when nothing can fail any more (S3). Returns the image's config, verbatim; `None` where the
/// source has none.
///
/// # Errors
/// When the image cannot be found, fetched or verified.
pub fn fetch<W: Write>(
    locator: &Locator,
    options: &Options,
    progress: &Arc<dyn Progress>,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Option<Vec<u8>>, Error> {
    match locator {
        Locator::Layout { dir, name } => layout::fetch(locator, dir, name.as_deref(), options, out),
        Locator::Overlay2 { dir } => overlay2::fetch(locator, dir, out).map(|()| None),
        Locator::Registry(reference) => registry::fetch(reference, options, progress, out).map(Some),
        Locator::Archive { kind, file, name } => {
            let archive = archive::Archive { kind: *kind, file, name: name.as_deref() };
            archive::fetch(&archive, options, progress, out).map(Some)
        }
    }
}
