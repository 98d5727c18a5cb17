use std::path::PathBuf;

use crate::image::Platform;
use crate::{registry, store};

/// Options for fetching an image.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the blob store.
    pub store: PathBuf,
    /// Others may write to the store, on purpose.
    pub shared_store: bool,
    /// The wanted platform. `None` means Linux on this machine's architecture, but accepts an image for a single platform,
    /// whatever it is.
    pub platform: Option<Platform>,
    /// The number of parallel downloads, at least 1.
    pub jobs: usize,
    /// Use nothing but the store.
    pub offline: bool,
    /// Options for registries.
    pub registry: registry::Options,
}

impl Options {
    /// Options for the blob store; another process may be silent for as long as a registry.
    pub(super) fn of_store(&self) -> store::Options {
        let access = if self.shared_store { store::Access::Shared } else { store::Access::Private };
        store::Options { access, patience: self.registry.timeout }
    }
}
