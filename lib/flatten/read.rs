//! Reading one layer, whatever it is.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use super::blob::Blob;
use super::context::ReadContext;
use super::directory::{self, DirectoryMeaning};
use super::layer::{ExpectedDigests, IndexedLayer, Layer, LayerKind};
use super::{LayerError, tarball};

/// Reads a layer to its end, verifies it, and keeps what its entries are and where their content is.
pub(super) fn read(layer: &Layer, context: &ReadContext) -> Result<IndexedLayer, LayerError> {
    match &layer.kind {
        LayerKind::Overlay => directory::read(layer.number, &layer.path, DirectoryMeaning::Overlay(context.visibility)),
        LayerKind::Extra if fs::metadata(&layer.path).map_err(|e| layer.io(e))?.is_dir() => {
            // Stacked on something, a directory is only the place where its entries are: the root keeps its own
            // attributes, or a directory made by mktemp would close a whole image to its users.
            directory::read(layer.number, &layer.path, DirectoryMeaning::Tar { with_root: layer.number == 0 })
        }
        LayerKind::Extra => {
            let file = File::open(&layer.path).map_err(|e| layer.io(e))?;
            let blob = Blob::new(file).map_err(|e| layer.io(e))?;
            tarball::read(layer, &blob, context, &ExpectedDigests::NONE, false)
        }
        LayerKind::Blob { size, expected, stargz } => {
            tarball::read(layer, &open_blob(layer, *size)?, context, expected, *stargz)
        }
    }
}

/// Opens what a manifest calls a blob: a regular file of the stated size, for anything else may never end.
fn open_blob(layer: &Layer, size: Option<u64>) -> Result<Blob, LayerError> {
    // No FIFO makes us wait; regular files do not care.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(&layer.path).map_err(|e| layer.io(e))?;
    let blob = Blob::new(file).map_err(|e| layer.io(e))?;
    let Some(found) = blob.size else { return Err(LayerError::NotRegular(layer.path.clone())) };
    match size {
        Some(expected) if expected != found => Err(LayerError::Size { path: layer.path.clone(), expected, found }),
        _ => Ok(blob),
    }
}
