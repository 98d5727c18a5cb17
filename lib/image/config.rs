//! The part of an image config that is interpreted; the rest is passed on verbatim (R6).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::descriptor::or_default;
use super::{Digest, Platform};

/// An image config: the fields that the filters need, and the whole text.
#[derive(Debug)]
pub struct Config {
    /// What the image runs on; `None` if the config does not say.
    pub platform: Option<Platform>,
    /// The digests of the uncompressed layers, bottom first.
    pub diff_ids: Vec<Digest>,
    /// The chain ID of each layer, which covers all layers below it, bottom first.
    pub chain_ids: Vec<Digest>,
    /// The config as written, including the order of keys and the form of numbers.
    pub text: Box<RawValue>,
    /// The exact bytes of the blob: `text` with the white space around it.
    pub bytes: Vec<u8>,
}

/// Why a config cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not JSON, or a required field is missing.
    #[error("the image config is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// The numbers of layers differ.
    #[error("the image config names {diff_ids} layers (rootfs.diff_ids), the manifest {layers}")]
    LayerCount {
        /// Digests in the config.
        diff_ids: usize,
        /// Layers in the manifest.
        layers: usize,
    },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "or_default")]
    os: String,
    #[serde(default, deserialize_with = "or_default")]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "or_default")]
    diff_ids: Vec<Digest>,
}

impl Config {
    /// Reads the config of a manifest with `layers` layers.
    ///
    /// # Errors
    /// When it is not an image config, or has another number of layers.
    pub fn parse(bytes: Vec<u8>, layers: usize) -> Result<Self, ConfigError> {
        let text: Box<RawValue> = serde_json::from_slice(&bytes)?;
        let raw: Raw = serde_json::from_slice(&bytes)?;
        let diff_ids = raw.rootfs.diff_ids;
        if diff_ids.len() != layers {
            return Err(ConfigError::LayerCount { diff_ids: diff_ids.len(), layers });
        }
        let says = !raw.os.is_empty() && !raw.architecture.is_empty();
        let platform = says.then(|| Platform::new(&raw.os, &raw.architecture, raw.variant.as_deref()));
        let chain_ids = chain_ids(&diff_ids);
        Ok(Self { platform, diff_ids, chain_ids, text, bytes })
    }
}

/// The "Layer ChainID" of the OCI image specification: the digest of the chain below and the layer's diffId.
fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_covers_all_layers_below() {
        let ids = [b"a", b"b", b"c"].map(|bytes| Digest::sha256(bytes));
        let chain = chain_ids(&ids);
        // printf %s "sha256:$(printf a | sha256sum | cut -c1-64) sha256:$(printf b | ...)" | sha256sum, and so on.
        assert_eq!(chain[0], ids[0]);
        assert_eq!(chain[1].to_string(), "sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676");
        assert_eq!(chain[2].to_string(), "sha256:2fce7f8ce91bcf0a1428b36e1024639fdbd9469eea762dba98aa749631885106");
    }
}
