//! The records of an image (M rules).

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Error;
use super::resolve::Image;
use crate::image::layer_manifest::{self, ArrivingBlob, ImageRecord, LayerRecord, Record, VERSION};

/// The first record.
pub(super) fn image<W: Write>(
    out: &mut layer_manifest::Writer<W>,
    reference: &str,
    image: &Image,
) -> Result<(), Error> {
    let record = ImageRecord {
        version: VERSION,
        reference: reference.to_owned(),
        platform: image.platform.as_ref().map(Into::into),
        manifest: Some(image.descriptor.digest.clone()),
        config: Some(image.config.text.clone()),
        layers: count(image.manifest.layers.len(), reference)?,
    };
    Ok(out.write(&Record::Image(record))?)
}

/// The record of layer `index`, whose blob is complete at `path`.
pub(super) fn layer<W: Write>(
    out: &mut layer_manifest::Writer<W>,
    image: &Image,
    index: usize,
    path: PathBuf,
) -> Result<(), Error> {
    Ok(out.write(&Record::Layer(record(image, index, path)?))?)
}

/// The record of layer `index`, whose bytes are arriving at `path` (M4).
pub(super) fn fetching<W: Write>(
    out: &mut layer_manifest::Writer<W>,
    image: &Image,
    index: usize,
    path: PathBuf,
) -> Result<(), Error> {
    Ok(out.write(&Record::Fetching(record(image, index, path)?))?)
}

/// The record of a blob whose bytes are arriving at `path`, when it is not known yet what it is (M4).
pub(super) fn arriving<W: Write>(out: &mut layer_manifest::Writer<W>, size: u64, path: PathBuf) -> Result<(), Error> {
    require_utf8(&path)?;
    Ok(out.write(&Record::Arriving(ArrivingBlob { size, path }))?)
}

fn record(image: &Image, index: usize, path: PathBuf) -> Result<LayerRecord, Error> {
    let descriptor = &image.manifest.layers[index];
    require_utf8(&path)?;
    Ok(LayerRecord {
        index: count(index, "layer")?,
        media_type: descriptor.media_type.clone(),
        digest: Some(descriptor.digest.clone()),
        size: Some(descriptor.size),
        diff_id: Some(image.config.diff_ids[index].clone()),
        chain_id: Some(image.config.chain_ids[index].clone()),
        path,
        annotations: descriptor.annotations.clone(),
    })
}

/// JSON is text, so paths have to be.
pub(super) fn require_utf8(path: &Path) -> Result<(), Error> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::Path { path: path.into(), what: "the path is not UTF-8, so JSON cannot hold it".into() }),
    }
}

pub(super) fn count(number: usize, image: &str) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::NotFound { image: image.into(), what: format!("{number} layers") })
}
