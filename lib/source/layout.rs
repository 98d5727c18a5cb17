//! `oci:DIR[:NAME]`: an OCI image layout, used in place (R6).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::resolve::{Documents, Image, ImageResolver};
use super::{Error, Locator, Options, emit};
use crate::image::layer_manifest;
use crate::image::{Descriptor, Digest, MAX_DOCUMENT, is_same_reference};
use crate::store::{self, REF_NAME, Store};

/// containerd's annotation for an image's full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

pub(super) fn fetch<W: Write>(
    locator: &Locator,
    dir: &Path,
    name: Option<&str>,
    options: &Options,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Option<Vec<u8>>, Error> {
    let store = Store::open(dir, store::Options { access: store::Access::InPlace, ..options.of_store() })?;
    let image = choose(&store, &locator.to_string(), &store.entries()?, name, options)?;
    emit_all(&store, &locator.to_string(), image, out).map(Some)
}

/// Writes the records of an image whose blobs are all in `store`.
pub(super) fn emit_all<W: Write>(
    store: &Store,
    reference: &str,
    image: Image,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Vec<u8>, Error> {
    let paths: Vec<PathBuf> =
        image.manifest.layers.iter().map(|layer| layer_path(store, reference, layer)).collect::<Result<_, _>>()?;
    emit::image(out, reference, &image)?;
    for (index, path) in paths.into_iter().enumerate() {
        emit::layer(out, &image, index, path)?;
    }
    Ok(image.config.bytes)
}

/// Finds the image with this `name` (a tag, a full name or a digest) among the entries of a layout's `index.json`; its
/// blobs are in `store`.
pub(super) fn choose(
    store: &Store,
    shown: &str,
    entries: &[Descriptor],
    name: Option<&str>,
    options: &Options,
) -> Result<Image, Error> {
    let resolver = ImageResolver::new(store, shown.to_owned(), options.platform.as_ref()).only_present();
    let chosen = match name {
        Some(name) => named(entries, name),
        None => entries.iter().collect(),
    };
    if let (Some(Ok(digest)), true) = (name.map(str::parse::<Digest>), chosen.is_empty()) {
        // A digest need not be in index.json: an index listed there may lead to it.
        if let Some(size) = store.blob_size(&digest)? {
            return resolver.resolve(&Descriptor::new("", digest, size));
        }
    }
    let names: BTreeSet<&str> = chosen.iter().filter_map(|entry| full_name(entry)).collect();
    let digests: BTreeSet<&Digest> = chosen.iter().map(|entry| &entry.digest).collect();
    let error = |what: String| Err(Error::NotFound { image: shown.to_owned(), what });
    match (digests.len(), names.len()) {
        (0, _) if entries.is_empty() => error("the image layout holds no image".into()),
        (0, _) => error(format!("no such image; there is {}", offered(entries))),
        (1, _) => resolver.resolve(chosen[0]),
        // Several manifests with the same name, or without one, differ by platform.
        (_, 0 | 1) => {
            let chosen: Vec<Descriptor> = chosen.into_iter().cloned().collect();
            resolver.resolve_among(&chosen)
        }
        _ => error(format!("several images, so name one behind a colon: {}", offered(entries))),
    }
}

/// The entries that match `name`: by their exact name, else by the tag or the familiar form of their name.
fn named<'a>(entries: &'a [Descriptor], name: &str) -> Vec<&'a Descriptor> {
    let matching = |test: &dyn Fn(&Descriptor) -> bool| entries.iter().filter(|e| test(e)).collect::<Vec<_>>();
    let names = |e: &Descriptor| {
        [REF_NAME, CONTAINERD_NAME].iter().filter_map(|key| e.annotations.get(*key)).cloned().collect::<Vec<_>>()
    };
    if let Ok(digest) = name.parse::<Digest>() {
        return matching(&|e| e.digest == digest);
    }
    let exact = matching(&|e| names(e).iter().any(|n| n == name));
    if !exact.is_empty() {
        return exact;
    }
    let by_name = matching(&|e| names(e).iter().any(|n| is_same_reference(n, name)));
    if !by_name.is_empty() {
        return by_name;
    }
    matching(&|e| names(e).iter().any(|n| n.rsplit_once(':').is_some_and(|(_, tag)| tag == name)))
}

/// The name of an entry; containerd and Docker write only the tag where others write the name.
fn full_name(entry: &Descriptor) -> Option<&str> {
    let name = [CONTAINERD_NAME, REF_NAME].iter().find_map(|key| entry.annotations.get(*key));
    name.map(String::as_str)
}

fn offered(entries: &[Descriptor]) -> String {
    list(entries, |entry| full_name(entry).map_or_else(|| entry.digest.to_string(), str::to_owned))
}

/// The labels of the first few images, for an error.
pub(super) fn list<T>(images: &[T], label: impl FnMut(&T) -> String) -> String {
    const MOST: usize = 20;
    let mut list: Vec<String> = images.iter().take(MOST).map(label).collect();
    if images.len() > MOST {
        list.push(format!("and {} more", images.len() - MOST));
    }
    list.join(", ")
}

fn layer_path(store: &Store, shown: &str, layer: &Descriptor) -> Result<PathBuf, Error> {
    if let Some(path) = store.blob(&layer.digest, layer.size)? {
        return Ok(path);
    }
    let what = match store.blob_size(&layer.digest)? {
        Some(size) => format!("the layer has {size} bytes where {} are due", layer.size),
        None => "the layer is not there".into(),
    };
    Err(Error::Size { image: shown.to_owned(), digest: layer.digest.clone(), what })
}

impl Documents for Store {
    fn may_have(&self, descriptor: &Descriptor) -> bool {
        // If it cannot be opened, reading it will report that.
        !matches!(self.open_blob(&descriptor.digest), Ok(None))
    }

    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        self.manifest(descriptor)
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let found = Store::document(self, &descriptor.digest, MAX_DOCUMENT)?;
        found.ok_or_else(|| Error::NotFound {
            image: self.root().display().to_string(),
            what: format!("{} is not there", descriptor.digest),
        })
    }
}
