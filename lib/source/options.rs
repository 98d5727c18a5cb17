use std::path::PathBuf;

use crate::image::Platform;
use crate::{registry, store};

/// How an image is fetched.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the blob store.
    pub store: PathBuf,
    /// Others may write to the store, on purpose.
    pub shared_store: bool,
    /// The wanted platform; `None` is Linux on this machine's architecture, and then an image that is for one
    /// platform only is taken as it is.
    pub platform: Option<Platform>,
    /// Parallel downloads, at least 1.
    pub jobs: usize,
    /// Use nothing but the store.
    pub offline: bool,
    /// How registries are talked to.
    pub registry: registry::Options,
}

impl Options {
    /// How the blob store is used; a process that is waited for may be as silent as a registry.
    pub(super) fn of_store(&self) -> store::Options {
        let access = if self.shared_store { store::Access::Shared } else { store::Access::Private };
        store::Options { access, patience: self.registry.timeout }
    }
}
