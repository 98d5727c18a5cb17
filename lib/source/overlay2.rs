//! `overlay2:DIR`: the layer directories of Docker's and Podman's overlay drivers, read in place (M2).
//!
//! ```text
//! overlay2/ID/diff       the files of the layer
//! overlay2/ID/lower      l/SHORT:l/SHORT... the layers below, the nearest first; absent at the bottom
//! overlay2/l/SHORT       a symlink to ../ID/diff
//! ```
//!
//! Nothing outside of the storage, the directory that contains `ID`, is read ([`beneath`](super::beneath)).

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::beneath::Beneath;
use super::{Error, Locator, emit};
use crate::image::layer_manifest::{self, DIRECTORY_MEDIA_TYPE, ImageRecord, LayerRecord, Record, VERSION};

/// The directory beside `diff` if containers/storage keeps files under their digests, and their names in a composefs image
/// (storage, drivers/overlay/overlay.go).
const COMPOSEFS: &str = "composefs-data";

/// The longest `lower` file that is read, in bytes; the drivers stop at 128 layers.
const MAX_LOWER: u64 = 1 << 20;

pub(super) fn fetch<W: Write>(locator: &Locator, dir: &Path, out: &mut layer_manifest::Writer<W>) -> Result<(), Error> {
    let layers = chain(dir)?;
    let record = ImageRecord {
        version: VERSION,
        reference: locator.to_string(),
        platform: None,
        manifest: None,
        config: None,
        layers: emit::count(layers.len(), "overlay2")?,
    };
    out.write(&Record::Image(record))?;
    for (index, path) in layers.into_iter().enumerate() {
        let record = LayerRecord {
            index: emit::count(index, "overlay2")?,
            media_type: DIRECTORY_MEDIA_TYPE.into(),
            digest: None,
            size: None,
            diff_id: None,
            chain_id: None,
            path,
            annotations: Default::default(),
        };
        out.write(&Record::Layer(record))?;
    }
    Ok(())
}

/// The directories of the chain, bottom first. All of them are within the storage that contains `dir`, wherever `lower` and
/// the links in the storage point.
fn chain(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |path: &Path, what: String| Error::Path { path: path.into(), what };
    let dir = dir.canonicalize().map_err(|e| fail(dir, e.to_string()))?;
    let (Some(storage), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(fail(&dir, "is no layer of overlay2".into()));
    };
    let storage = Beneath::open(storage).map_err(|e| fail(storage, e.to_string()))?;
    let layer = storage.directory(Path::new(name)).map_err(|e| fail(&dir, e.to_string()))?;
    if !layer.has("diff") {
        let what = "no layer of overlay2: it has no directory diff (docker inspect names one: UpperDir, without /diff)";
        return Err(fail(&dir, what.into()));
    }
    let mut layers = vec![diff(&storage, &Path::new(name).join("diff"))?];
    for entry in lower(&layer)?.split(':').filter(|entry| !entry.is_empty()) {
        layers.push(diff(&storage, Path::new(entry))?);
    }
    layers.reverse();
    Ok(layers)
}

/// The content of `lower` in a layer's directory; empty if there is none.
fn lower(layer: &Beneath) -> Result<String, Error> {
    let path = layer.path().join("lower");
    let fail = |what: String| Error::Path { path: path.clone(), what };
    let Some(file) = layer.file("lower").map_err(|e| fail(e.to_string()))? else { return Ok(String::new()) };
    let mut text = String::new();
    match file.take(MAX_LOWER).read_to_string(&mut text) {
        Ok(n) if (n as u64) < MAX_LOWER => Ok(text.trim_end_matches(['\n', '\0']).to_owned()),
        Ok(_) => Err(fail(format!("longer than {MAX_LOWER} bytes"))),
        Err(e) => Err(fail(e.to_string())),
    }
}

/// Checks the layer directory at `path` in the storage; returns its path without links.
fn diff(storage: &Beneath, path: &Path) -> Result<PathBuf, Error> {
    let shown = storage.path().join(path);
    let fail = |what: String| Error::Path { path: shown.clone(), what };
    let found = storage.directory(path).map_err(|e| fail(e.to_string()))?;
    let layer = found.path().parent().unwrap_or(found.path());
    let beside = layer.strip_prefix(storage.path()).ok().map(|layer| storage.directory(layer));
    if beside.is_some_and(|layer| layer.is_ok_and(|layer| layer.has(COMPOSEFS))) {
        let what = "its files are kept with composefs, under the names of their digests, which is not read (podman save \
                    writes an image that is)";
        return Err(fail(what.into()));
    }
    emit::require_utf8(found.path())?;
    Ok(found.path().to_path_buf())
}
