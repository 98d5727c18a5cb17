//! Reads a layer of any kind.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::SystemTime;

use super::blob::Blob;
use super::cache::LayerCache;
use super::context::ReadContext;
use super::directory::{self, DirectoryMeaning, StackedDirectory};
use super::extra_layer::{ExtraLayer, ExtraSource};
use super::layer::{ExpectedDigests, IndexedLayer, Layer, LayerKind};
use super::tarball::{self, TarNames};
use super::{LayerError, progress};
use crate::image::Digest;
use crate::sys::{open_no_link, open_to_read};
use crate::tree::ExistingDirectories;

/// Reads a layer to its end, verifies it, and returns its entries and the location of their content.
pub(super) fn read(layer: &Layer, context: &ReadContext) -> Result<IndexedLayer, LayerError> {
    match &layer.kind {
        LayerKind::Overlay => {
            read_directory(layer, &layer.path, DirectoryMeaning::Overlay(context.visibility), context)
        }
        LayerKind::Extra(extra) => read_extra(layer, extra, context),
        LayerKind::Arriving { size } => {
            let names = TarNames { stargz: false, prefix: b"" };
            tarball::read(layer, &open_blob(layer, Some(*size))?, context, &ExpectedDigests::LATER, names, None)
        }
        LayerKind::Blob { size, expected, stargz, .. } => {
            let names = TarNames { stargz: *stargz, prefix: b"" };
            let read = match (&context.cache, &expected.diff_id) {
                (Some(cache), Some(diff_id)) => with_cache(layer, *size, context, expected, names, (cache, diff_id)),
                _ => tarball::read(layer, &open_blob(layer, *size)?, context, expected, names, None),
            };
            if read.as_ref().is_err_and(LayerError::may_be_damage) {
                suspect(layer);
            }
            read
        }
    }
}

/// Marks a blob that may be damaged as just modified, so that the blob store verifies it again (R1). Without permission to
/// do so, nothing changes.
fn suspect(layer: &Layer) {
    let touched = open_no_link(&layer.path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        log::debug!("{}: stays as it is: {error}", layer.label);
    }
}

/// Takes a layer from the cache, or decodes it and adds it to the cache (F18). Layers that are plain tars already are not
/// kept a second time.
fn with_cache(
    layer: &Layer,
    size: Option<u64>,
    context: &ReadContext,
    expected: &ExpectedDigests,
    names: TarNames<'_>,
    (cache, diff_id): (&LayerCache, &Digest),
) -> Result<IndexedLayer, LayerError> {
    let cached = cache.find(diff_id).and_then(|file| Blob::new(file).ok()).filter(|blob| blob.is_plain);
    if let Some(mut blob) = cached {
        blob.is_frozen = true;
        match tarball::read(layer, &blob, context, expected, names, None) {
            Err(error) if error.may_be_damage() => {
                log::warn!("{}: damaged in the cache, it is decoded again: {error}", layer.label);
                cache.remove(diff_id);
            }
            read => return read,
        }
    }
    let blob = open_blob(layer, size)?;
    let entry = if context.verify && !blob.is_plain { cache.begin(diff_id) } else { None };
    let kept = entry.is_some();
    match tarball::read(layer, &blob, context, expected, names, entry) {
        Err(LayerError::Cache(error)) => {
            cache.give_up(&error);
            tarball::read(layer, &open_blob(layer, size)?, context, expected, names, None)
        }
        Ok(read) if kept => {
            cache.shrink();
            Ok(read)
        }
        read => read,
    }
}

/// Reads a layer that the user stacks on top (F16).
fn read_extra(layer: &Layer, extra: &ExtraLayer, context: &ReadContext) -> Result<IndexedLayer, LayerError> {
    let blob = match &extra.source {
        ExtraSource::StandardInput => {
            let input = io::stdin().as_fd().try_clone_to_owned().map_err(|e| layer.io(e))?;
            Blob::streamed(input.into()).map_err(|e| layer.io(e))?
        }
        ExtraSource::Path(path) if fs::metadata(path).map_err(|e| layer.io(e))?.is_dir() => {
            let is_root = rustix::process::geteuid().is_root();
            let owner = context.owner.or(if is_root { None } else { Some((0, 0)) });
            let stacked = StackedDirectory { at_bottom: layer.number == 0, owner, prefix: &extra.prefix };
            return read_directory(layer, path, DirectoryMeaning::Tar(stacked), context);
        }
        ExtraSource::Path(path) => {
            let file = File::open(path).map_err(|e| layer.io(e))?;
            Blob::new(file).map_err(|e| layer.io(e))?
        }
    };
    let expected = ExpectedDigests::NONE;
    let names = TarNames { stargz: false, prefix: &extra.prefix };
    let layer = tarball::read(layer, &blob, context, &expected, names, None)?;
    Ok(IndexedLayer { existing: ExistingDirectories::BehindSymlinks, ..layer })
}

/// Lists a directory. Its content is not read yet, so there are no bytes to count.
fn read_directory(
    layer: &Layer,
    path: &Path,
    meaning: DirectoryMeaning<'_>,
    context: &ReadContext,
) -> Result<IndexedLayer, LayerError> {
    let meter = progress::start(context.progress.as_ref(), |progress| progress.layer(&layer.label, Some(0)));
    let read = directory::read(layer.number, path, meaning)?;
    if let Some(meter) = meter {
        meter.end();
    }
    Ok(read)
}

/// Opens the blob that a manifest names: a regular file of the stated size, since anything else may never end.
fn open_blob(layer: &Layer, size: Option<u64>) -> Result<Blob, LayerError> {
    if let Some(growth) = &layer.growth {
        let mut blob = Blob::growing(growth).map_err(|e| layer.io(e))?.ok_or(LayerError::Cancelled)?;
        match layer.kind {
            // It has to be hashed as it comes, so its content is kept as well.
            LayerKind::Arriving { .. } => blob.is_plain = false,
            // It can be read as fast when it is whole.
            _ if blob.is_plain => return Err(LayerError::Cancelled),
            _ => {}
        }
        return Ok(blob);
    }
    let file = open_to_read(&layer.path).map_err(|e| layer.io(e))?;
    let blob = Blob::new(file).map_err(|e| layer.io(e))?;
    let Some(found) = blob.size else { return Err(LayerError::NotRegular(layer.path.clone())) };
    match size {
        Some(expected) if expected != found => Err(LayerError::Size { path: layer.path.clone(), expected, found }),
        _ => Ok(blob),
    }
}
