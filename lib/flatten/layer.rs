//! One layer as plain data: before and after it is read.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::LayerError;
use super::content::ContentSource;
use super::extra_layer::{ExtraLayer, ExtraSource};
use super::growth::Growth;
use super::member_index::MemberIndex;
use super::warnings::Warnings;
use crate::image::layer_manifest::{ArrivingBlob, DIRECTORY_MEDIA_TYPE, LayerRecord};
use crate::image::{Algorithm, Digest, Hasher, media_type};
use crate::meta::Shown;
use crate::tree::{ExistingDirectories, Whiteouts};

/// The annotation of eStargz layers (F14).
const STARGZ: &str = "containerd.io/snapshot/stargz/toc.digest";

/// A layer to read.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its position in the stack, 0 at the bottom.
    pub(super) number: u32,
    /// Its name in messages.
    pub(super) label: String,
    /// The file or directory.
    pub(super) path: PathBuf,
    pub(super) kind: LayerKind,
    /// The file in which its bytes are arriving, to be read instead of `path` (M4).
    pub(super) growth: Option<Arc<Growth>>,
}

impl Layer {
    /// Its stored size in bytes, if that is known before reading it; 0 for directories.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.kind {
            LayerKind::Blob { size, .. } => *size,
            LayerKind::Arriving { size } => Some(*size),
            LayerKind::Overlay => Some(0),
            LayerKind::Extra(ExtraLayer { source: ExtraSource::StandardInput, .. }) => None,
            LayerKind::Extra(ExtraLayer { source: ExtraSource::Path(path), .. }) => {
                let meta = fs::metadata(path).ok()?;
                if meta.is_dir() { Some(0) } else { meta.is_file().then_some(meta.len()) }
            }
        }
    }
}

/// What a layer is.
#[derive(Debug)]
pub(super) enum LayerKind {
    /// A layer of an image, a tar of any compression.
    Blob {
        size: Option<u64>,
        expected: ExpectedDigests,
        stargz: bool,
        /// Its media type does not name a tar, so it must begin with a valid member (F13).
        is_foreign: bool,
    },
    /// A blob that may turn out to be a layer: neither its media type nor its diffId is known yet (M4).
    Arriving { size: u64 },
    /// A directory of the overlay2 driver (F15).
    Overlay,
    /// A tar or directory given by the user; a directory is read as a tar of it would be (F16).
    Extra(ExtraLayer),
}

/// The digests that a layer must have.
#[derive(Clone, Debug)]
pub(super) struct ExpectedDigests {
    /// The digest of its tar, uncompressed.
    pub(super) diff_id: Option<Digest>,
    /// The digest of its blob as stored.
    pub(super) digest: Option<Digest>,
    /// Its diffId will be known later: what is found then has to be kept.
    pub(super) later: bool,
}

impl ExpectedDigests {
    /// None are known.
    pub(super) const NONE: Self = Self { diff_id: None, digest: None, later: false };

    /// What is known of a blob that may turn out to be a layer.
    pub(super) const LATER: Self = Self { later: true, ..Self::NONE };

    /// Whether nothing is known, now or later.
    pub(super) fn is_none(&self) -> bool {
        self.diff_id.is_none() && self.digest.is_none() && !self.later
    }

    /// What the uncompressed bytes are hashed with.
    pub(super) fn hasher_of_tar(&self) -> Option<Hasher> {
        let algorithm = self.diff_id.as_ref().map(Digest::algorithm);
        algorithm.or_else(|| self.later.then_some(Algorithm::Sha256)).map(Hasher::new)
    }
}

/// A layer that has been read.
#[derive(Debug)]
pub(super) struct IndexedLayer {
    pub(super) members: MemberIndex,
    pub(super) whiteouts: Whiteouts,
    pub(super) content: ContentSource,
    /// How its directories change those of lower layers (F5, F16).
    pub(super) existing: ExistingDirectories,
    pub(super) warnings: Warnings,
    /// The digest of its uncompressed bytes, if it was taken.
    pub(super) diff_id: Option<Digest>,
}

impl Layer {
    /// The layer of a manifest record.
    pub(super) fn of_record(number: u32, record: LayerRecord) -> Self {
        if record.media_type == DIRECTORY_MEDIA_TYPE {
            let label = format!("layer {number} ({})", record.path.display());
            return Self { number, label, path: record.path, kind: LayerKind::Overlay, growth: None };
        }
        let is_foreign = !media_type::is_layer(&record.media_type) || record.media_type.ends_with("+encrypted");
        let mut words: Vec<String> = Vec::new();
        words.extend(record.digest.as_ref().map(|d| format!("{}:{}", d.algorithm().name(), &d.hex()[..12])));
        words.extend(is_foreign.then(|| Shown(record.media_type.as_bytes()).to_string()));
        let label =
            if words.is_empty() { format!("layer {number}") } else { format!("layer {number} ({})", words.join(", ")) };
        let stargz = record.annotations.contains_key(STARGZ);
        let expected = ExpectedDigests { diff_id: record.diff_id, digest: record.digest, later: false };
        let kind = LayerKind::Blob { size: record.size, expected, stargz, is_foreign };
        Self { number, label, path: record.path, kind, growth: None }
    }

    /// A blob of which it is not known yet which layer it is, if any.
    pub(super) fn arriving(blob: ArrivingBlob) -> Self {
        let label = format!("blob {}", blob.path.display());
        Self { number: u32::MAX, label, path: blob.path, kind: LayerKind::Arriving { size: blob.size }, growth: None }
    }

    /// A layer that the user adds on top.
    pub(super) fn extra(number: u32, extra: ExtraLayer) -> Self {
        let path = match &extra.source {
            ExtraSource::Path(path) => path.clone(),
            ExtraSource::StandardInput => PathBuf::from("-"),
        };
        Self { number, label: extra.label(), path, kind: LayerKind::Extra(extra), growth: None }
    }

    /// Whether it may turn out to be no layer.
    pub(super) fn is_arriving(&self) -> bool {
        matches!(self.kind, LayerKind::Arriving { .. })
    }

    /// Whether nothing but its diffId says how it is to be read.
    pub(super) fn is_ordinary(&self) -> bool {
        let LayerKind::Blob { expected, stargz: false, is_foreign: false, .. } = &self.kind else { return false };
        expected.diff_id.as_ref().is_some_and(|diff_id| diff_id.algorithm() == Algorithm::Sha256)
    }

    /// Whether what was read can be this layer: its digest is the right one, if it was taken.
    pub(super) fn may_be(&self, indexed: &IndexedLayer) -> bool {
        match (&self.kind, &indexed.diff_id) {
            (LayerKind::Blob { expected: ExpectedDigests { diff_id: Some(expected), .. }, .. }, Some(found)) => {
                expected == found
            }
            _ => true,
        }
    }

    pub(super) fn io(&self, source: io::Error) -> LayerError {
        match self.kind {
            // Its label contains the path.
            LayerKind::Extra(_) => LayerError::Unreadable(source),
            _ => LayerError::Io { path: self.path.clone(), source },
        }
    }
}
