//! `overlay2:DIR`: the layer directories of Docker's and Podman's overlay drivers, read where they stand (M2).
//!
//! ```text
//! overlay2/ID/diff       what the layer holds
//! overlay2/ID/lower      l/SHORT:l/SHORT... the layers below, the nearest first; absent at the bottom
//! overlay2/l/SHORT       a symlink to ../ID/diff
//! ```

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Error, Locator, emit};
use crate::image::layer_manifest::{self, DIRECTORY_MEDIA_TYPE, ImageRecord, LayerRecord, Record, VERSION};

/// Longest `lower` file that is read, in bytes; the drivers stop at 128 layers.
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

/// The directories of the chain, bottom first.
fn chain(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let dir = dir.canonicalize().map_err(|e| Error::Path { path: dir.into(), what: e.to_string() })?;
    if fs::metadata(dir.join("diff")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        let what = "no layer of overlay2: it has no directory diff (docker inspect names one: UpperDir, without /diff)";
        return Err(Error::Path { path: dir, what: what.into() });
    }
    let mut layers = vec![directory(&dir.join("diff"))?];
    let root = dir.parent().unwrap_or(&dir);
    for entry in lower(&dir.join("lower"))?.split(':').filter(|entry| !entry.is_empty()) {
        layers.push(directory(&root.join(entry))?);
    }
    layers.reverse();
    Ok(layers)
}

fn lower(path: &Path) -> Result<String, Error> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(e) => return Err(Error::Path { path: path.into(), what: e.to_string() }),
    };
    let mut text = String::new();
    let read = file.take(MAX_LOWER).read_to_string(&mut text);
    match read {
        Ok(n) if (n as u64) < MAX_LOWER => Ok(text.trim_end_matches(['\n', '\0']).to_owned()),
        Ok(_) => Err(Error::Path { path: path.into(), what: format!("longer than {MAX_LOWER} bytes") }),
        Err(e) => Err(Error::Path { path: path.into(), what: e.to_string() }),
    }
}

fn directory(path: &Path) -> Result<PathBuf, Error> {
    let found = path.canonicalize().map_err(|e| Error::Path { path: path.into(), what: e.to_string() })?;
    if !found.is_dir() {
        return Err(Error::Path { path: path.into(), what: "not a directory".into() });
    }
    emit::require_utf8(&found)?;
    Ok(found)
}
