//! One layer: what it is, and how it becomes an index and a store of content.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::content::Store;
use super::index::Index;
use super::spool::Room;
use super::{LayerError, directory, tarball};
use crate::codec::Compression;
use crate::image::Digest;
use crate::image::layer_manifest::{DIRECTORY_MEDIA_TYPE, LayerRecord};
use crate::tree::Whiteouts;

/// The annotation that eStargz layers carry (F14).
const STARGZ: &str = "containerd.io/snapshot/stargz/toc.digest";

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
    Blob { size: Option<u64>, diff_id: Option<Digest>, stargz: bool },
    /// A directory as overlay2 has it (F15).
    Overlay,
    /// A tar or directory given by the user, read as a tar of it would be.
    Extra,
}

/// A layer that was read.
#[derive(Debug)]
pub(super) struct Indexed {
    pub(super) index: Index,
    pub(super) rules: Whiteouts,
    pub(super) store: Store,
}

/// What all layers are read with.
#[derive(Clone, Debug)]
pub(super) struct How {
    pub(super) verify: bool,
    pub(super) room: Arc<Room>,
    pub(super) cancelled: Arc<AtomicBool>,
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
        let kind = Kind::Blob { size: record.size, diff_id: record.diff_id, stargz };
        Self { number, label, path: record.path, kind }
    }

    /// One more layer that the user wants on top.
    pub(super) fn extra(number: u32, path: PathBuf) -> Self {
        Self { number, label: format!("layer {}", path.display()), path, kind: Kind::Extra }
    }

    /// Reads the layer to its end, verifies it, and keeps what its entries are and where their content is.
    pub(super) fn read(&self, how: &How) -> Result<Indexed, LayerError> {
        match &self.kind {
            Kind::Overlay => directory::read(self.number, &self.path, directory::As::Overlay),
            Kind::Extra if std::fs::metadata(&self.path).map_err(|e| self.io(e))?.is_dir() => {
                // Stacked on something, a directory is only the place where its entries are: the root keeps its own
                // attributes, or a directory made by mktemp would close a whole image to its users.
                directory::read(self.number, &self.path, directory::As::Tar { with_root: self.number == 0 })
            }
            Kind::Extra => tarball::read(self, &self.open(None)?, how, None, false),
            Kind::Blob { size, diff_id, stargz } => {
                tarball::read(self, &self.open(*size)?, how, diff_id.as_ref(), *stargz)
            }
        }
    }

    fn open(&self, size: Option<u64>) -> Result<Blob, LayerError> {
        let file = File::open(&self.path).map_err(|e| self.io(e))?;
        let stat = file.metadata().map_err(|e| self.io(e))?;
        if stat.is_dir() {
            return Err(self.io(io::ErrorKind::IsADirectory.into()));
        }
        if let Some(expected) = size.filter(|size| stat.is_file() && *size != stat.len()) {
            return Err(LayerError::Size { path: self.path.clone(), expected, found: stat.len() });
        }
        let in_place = stat.is_file() && is_plain(&file).map_err(|e| self.io(e))?;
        Ok(Blob { file: Arc::new(file), in_place })
    }

    pub(super) fn io(&self, source: io::Error) -> LayerError {
        match self.kind {
            // Its label is its path.
            Kind::Extra => LayerError::Unreadable(source),
            _ => LayerError::Io { path: self.path.clone(), source },
        }
    }
}

/// An opened tar.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) file: Arc<File>,
    /// Whether content can be read from it again later: it is a plain tar in a regular file.
    pub(super) in_place: bool,
}

fn is_plain(file: &File) -> io::Result<bool> {
    let mut head = [0; Compression::MAGIC_LEN];
    let mut len = 0;
    while len < head.len() {
        match file.read_at(&mut head[len..], len as u64)? {
            0 => break,
            more => len += more,
        }
    }
    // What is not supported is refused when it is decoded.
    Ok(matches!(Compression::of(&head[..len]), Ok(Compression::Plain)))
}
