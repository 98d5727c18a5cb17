//! References, digests, platforms, manifests and the layer manifest (M rules).

mod digest;
pub mod layer_manifest;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
