use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::image::{Annotations, Digest};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// The media type of a layer that is a directory on this machine (overlay2, M2).
pub const DIRECTORY_MEDIA_TYPE: &str = "inode/directory";

/// One line of the manifest.
#[derive(Debug)]
pub enum Record {
    /// The image that the layers belong to; the first record.
    Image(ImageRecord),
    /// The bytes of a layer are arriving in the file at its path, where they are never rewritten. They do not count before
    /// the layer's own record, which may name another file (M4).
    Fetching(LayerRecord),
    /// The bytes of a blob are arriving, like those of a [`Fetching`](Self::Fetching) layer. It is not known yet
    /// whether the blob is a layer, and which one.
    Arriving(ArrivingBlob),
    /// A layer that is complete on disk.
    Layer(LayerRecord),
    /// The manifest is complete; nothing follows.
    End,
}

/// The first record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The name of the image with its defaults filled in (`docker.io/library/nginx:latest`, `overlay2:/dir`).
    pub reference: String,
    /// What the image runs on; null if the source does not say.
    pub platform: Option<PlatformRecord>,
    /// The digest of the image manifest; null for overlay2 (M1).
    pub manifest: Option<Digest>,
    /// The OCI image config, verbatim; null for overlay2 (M1).
    pub config: Option<Box<RawValue>>,
    /// The number of layer records that follow.
    pub layers: u32,
}

/// A platform as OCI spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformRecord {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ... (GOARCH).
    pub architecture: String,
    /// `v7`, `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerRecord {
    /// The position, counted from 0 at the bottom.
    pub index: u32,
    /// The media type from the image manifest, or [`DIRECTORY_MEDIA_TYPE`].
    pub media_type: String,
    /// The digest of the blob as stored; absent for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The size of the blob as stored, in bytes; absent for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of the uncompressed tar (F12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
    /// The digest of the layer and all layers below it (the specification's ChainID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<Digest>,
    /// The absolute path of the blob or directory on this machine.
    pub path: PathBuf,
    /// Annotations of the layer's descriptor.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// A blob of an archive that is being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivingBlob {
    /// Its final size in bytes.
    pub size: u64,
    /// An absolute path by which the file that its bytes arrive in can be opened in the meantime. The layer's record,
    /// if one follows, has another path of the same file.
    pub path: PathBuf,
}
