//! One layer: what it is, and how it becomes an index and a store of content.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::blob::Blob;
use super::content::Store;
use super::index::Index;
use super::remarks::Remarks;
use super::sight::Sight;
use super::spool::Room;
use super::workers::Queue;
use super::{LayerError, Progress, directory, tarball};
use crate::image::Digest;
use crate::image::layer_manifest::{DIRECTORY_MEDIA_TYPE, LayerRecord};
use crate::tree::Whiteouts;

/// The annotation that eStargz layers carry (F14).
const STARGZ: &str = "containerd.io/snapshot/stargz/toc.digest";

/// How many plain tars are read in place; further ones are spooled, for open files are few.
const MAX_IN_PLACE: usize = 256;

/// A layer to read.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its place in the stack, 0 at the bottom.
    pub(super) number: u32,
    /// What it is called in messages.
    pub(super) label: String,
    /// The file or directory.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// What a layer is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A layer of an image, a tar of any compression.
    Blob { size: Option<u64>, identity: Identity<Digest>, stargz: bool },
    /// A directory as overlay2 has it (F15).
    Overlay,
    /// A tar or directory given by the user, read as a tar of it would be.
    Extra,
}

/// What a layer's bytes must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<D> {
    /// The digest of its tar, uncompressed.
    pub(super) diff_id: Option<D>,
    /// The digest of its blob as stored.
    pub(super) digest: Option<D>,
}

impl<D> Identity<D> {
    /// Nothing is known.
    pub(super) const NONE: Self = Self { diff_id: None, digest: None };
}

/// A layer that was read.
#[derive(Debug)]
pub(super) struct Indexed {
    pub(super) index: Index,
    pub(super) whiteouts: Whiteouts,
    pub(super) store: Store,
    pub(super) remarks: Remarks,
}

/// What all layers are read with.
#[derive(Clone, Debug)]
pub(super) struct How {
    pub(super) verify: bool,
    pub(super) room: Arc<Room>,
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) progress: Option<Arc<dyn Progress>>,
    /// How many plain tars were opened to be read in place.
    pub(super) in_place: Arc<AtomicUsize>,
    /// Workers that help when they have nothing else to do.
    pub(super) queue: Queue,
    /// What is seen of overlay's own attributes (F15).
    pub(super) sight: Sight,
}

impl Layer {
    /// The layer of a manifest record.
    pub(super) fn of_record(number: u32, record: LayerRecord) -> Self {
        if record.media_type == DIRECTORY_MEDIA_TYPE {
            let label = format!("layer {number} ({})", record.path.display());
            return Self { number, label, path: record.path, kind: Kind::Overlay };
        }
        let label = match &record.digest {
            Some(digest) => format!("layer {number} ({}:{})", digest.algorithm().name(), &digest.hex()[..12]),
            None => format!("layer {number}"),
        };
        let stargz = record.annotations.contains_key(STARGZ);
        let identity = Identity { diff_id: record.diff_id, digest: record.digest };
        let kind = Kind::Blob { size: record.size, identity, stargz };
        Self { number, label, path: record.path, kind }
    }

    /// One more layer that the user wants on top.
    pub(super) fn extra(number: u32, path: PathBuf) -> Self {
        Self { number, label: format!("layer {}", path.display()), path, kind: Kind::Extra }
    }

    /// Reads the layer to its end, verifies it, and keeps what its entries are and where their content is.
    pub(super) fn read(&self, how: &How) -> Result<Indexed, LayerError> {
        match &self.kind {
            Kind::Overlay => directory::read(self.number, &self.path, directory::As::Overlay(how.sight)),
            Kind::Extra if std::fs::metadata(&self.path).map_err(|e| self.io(e))?.is_dir() => {
                // Stacked on something, a directory is only the place where its entries are: the root keeps its own
                // attributes, or a directory made by mktemp would close a whole image to its users.
                directory::read(self.number, &self.path, directory::As::Tar { with_root: self.number == 0 })
            }
            Kind::Extra => tarball::read(self, &self.open(None, how)?, how, Identity::NONE, false),
            Kind::Blob { size, identity, stargz } => {
                let identity = Identity { diff_id: identity.diff_id.as_ref(), digest: identity.digest.as_ref() };
                tarball::read(self, &self.open(*size, how)?, how, identity, *stargz)
            }
        }
    }

    fn open(&self, size: Option<u64>, how: &How) -> Result<Blob, LayerError> {
        let file = File::open(&self.path).map_err(|e| self.io(e))?;
        let mut blob = Blob::new(file).map_err(|e| self.io(e))?;
        if let (Some(expected), Some(found)) = (size, blob.size)
            && expected != found
        {
            return Err(LayerError::Size { path: self.path.clone(), expected, found });
        }
        // A file that is read in place stays open to the end.
        blob.in_place = blob.in_place && how.in_place.fetch_add(1, Ordering::Relaxed) < MAX_IN_PLACE;
        Ok(blob)
    }

    pub(super) fn io(&self, source: io::Error) -> LayerError {
        match self.kind {
            // Its label is its path.
            Kind::Extra => LayerError::Unreadable(source),
            _ => LayerError::Io { path: self.path.clone(), source },
        }
    }
}
