//! Reading one layer, whatever it is.

use std::fs::{self, File};

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
        LayerKind::Extra => tarball::read(layer, &open(layer, None, context)?, context, &ExpectedDigests::NONE, false),
        LayerKind::Blob { size, expected, stargz } => {
            tarball::read(layer, &open(layer, *size, context)?, context, expected, *stargz)
        }
    }
}

fn open(layer: &Layer, size: Option<u64>, context: &ReadContext) -> Result<Blob, LayerError> {
    let file = File::open(&layer.path).map_err(|e| layer.io(e))?;
    let mut blob = Blob::new(file).map_err(|e| layer.io(e))?;
    if let (Some(expected), Some(found)) = (size, blob.size)
        && expected != found
    {
        return Err(LayerError::Size { path: layer.path.clone(), expected, found });
    }
    blob.in_place = blob.in_place && context.may_stay_open();
    Ok(blob)
}
