//! References, digests, platforms, manifests and the layer manifest (M rules).

pub(crate) mod beginning;
mod config;
mod descriptor;
mod digest;
mod document;
pub mod layer_manifest;
pub mod media_type;
mod platform;
mod reference;
pub mod select;

pub use config::{Config, ConfigError};
pub use descriptor::{Annotations, DescribedPlatform, Descriptor, Entries};
pub use digest::{Algorithm, Digest, DigestError, Hasher, hex};
pub use document::{Document, DocumentError, Index, MAX_DOCUMENT, Manifest};
pub use platform::{Platform, PlatformError};
pub use reference::{DEFAULT_REGISTRY, Reference, ReferenceError, is_same_reference, usual_registry};
