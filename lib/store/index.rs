//! `index.json`: what the images in the store are called.

use std::fs;
use std::io;

use serde_json::{Map, Value, json};

use super::{Error, Store};
use crate::image::layer_manifest::PlatformRecord;
use crate::image::{Annotations, Descriptor, Digest, Platform, media_type};

/// The annotation that carries an image's name (OCI image spec, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Most bytes of `index.json`. It grows with every name the store ever learnt, so it may be longer than a document
/// that comes from elsewhere.
const MAX_INDEX: u64 = 64 << 20;

/// The annotation of ours that says what the registry's tag pointed at, where that differs from the entry: readers of
/// image layouts take OCI's media types only, so a Docker manifest stands in the index wrapped in an OCI index.
const SOURCE_DIGEST: &str = "vnd.oci-fetch.source.digest";
const SOURCE_TYPE: &str = "vnd.oci-fetch.source.mediaType";
const SOURCE_SIZE: &str = "vnd.oci-fetch.source.size";

/// A name in the store and what it stands for.
#[derive(Clone, Debug)]
pub struct Name {
    /// The image's name.
    pub name: String,
    /// What the name stood for at its source: an index or a manifest.
    pub target: Descriptor,
    /// What readers of image layouts find under the name, when that is another document.
    pub wrapper: Option<Descriptor>,
}

impl Store {
    /// All entries of `index.json`, as they stand.
    ///
    /// # Errors
    /// When it cannot be read or is not an index.
    pub fn entries(&self) -> Result<Vec<Descriptor>, Error> {
        #[derive(serde::Deserialize)]
        struct Raw {
            #[serde(default)]
            manifests: Option<Vec<Descriptor>>,
        }
        let Some(bytes) = self.read_index()? else { return Ok(Vec::new()) };
        let raw: Raw = serde_json::from_slice(&bytes).map_err(|e| self.index_error(e))?;
        Ok(raw.manifests.unwrap_or_default())
    }

    /// What `name` stands for, if the store knows it.
    ///
    /// # Errors
    /// When `index.json` cannot be read.
    pub fn lookup(&self, name: &str) -> Result<Option<Name>, Error> {
        let found = self.entries()?.into_iter().find(|e| e.annotations.get(REF_NAME).is_some_and(|n| n == name));
        Ok(found.map(|entry| {
            let source = source(&entry.annotations);
            let plain = Descriptor { annotations: Annotations::new(), ..entry };
            match source {
                Some(target) => Name { name: name.to_owned(), target, wrapper: Some(plain) },
                None => Name { name: name.to_owned(), target: plain, wrapper: None },
            }
        }))
    }

    /// Lets a name stand for an image, and puts there what readers of image layouts need to find it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn remember(&self, (name, wrapper): &(Name, Option<Vec<u8>>)) -> Result<(), Error> {
        if let (Some(wrapper), Some(descriptor)) = (wrapper, &name.wrapper) {
            self.put(&descriptor.digest, wrapper)?;
        }
        self.set_name(name)
    }

    /// Lets `name` stand for an image; what it stood for before keeps its blobs.
    ///
    /// # Errors
    /// When `index.json` cannot be read or written.
    pub(super) fn set_name(&self, name: &Name) -> Result<(), Error> {
        // Nothing to do needs no lock: a store that cannot be written still serves what it has.
        if self.entries_as_written()?.contains(&entry(name)) {
            return Ok(());
        }
        let _lock = self.lock()?;
        let bytes = self.read_index()?;
        let parsed: Option<Value> =
            bytes.as_deref().map(serde_json::from_slice).transpose().map_err(|e| self.index_error(e))?;
        let entry = entry(name);
        let mut index = match parsed {
            Some(Value::Object(index)) => index,
            _ => Map::new(),
        };
        index.entry("schemaVersion").or_insert(json!(2));
        let list = index.entry("manifests").or_insert(json!([]));
        if !list.is_array() {
            *list = json!([]);
        }
        if let Value::Array(list) = list {
            list.retain(|e| e["annotations"][REF_NAME].as_str() != Some(&name.name));
            list.push(entry);
        }
        self.replace("index.json", Value::Object(index).to_string().as_bytes())
    }

    fn entries_as_written(&self) -> Result<Vec<Value>, Error> {
        let Some(bytes) = self.read_index()? else { return Ok(Vec::new()) };
        let index: Value = serde_json::from_slice(&bytes).map_err(|e| self.index_error(e))?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    fn read_index(&self) -> Result<Option<Vec<u8>>, Error> {
        use io::Read;
        let path = self.root().join("index.json");
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::at(&path, "cannot open")(e)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_INDEX + 1).read_to_end(&mut bytes).map_err(Error::at(&path, "cannot read"))?;
        if bytes.len() as u64 > MAX_INDEX {
            return Err(Error::TooLong { path, max: MAX_INDEX });
        }
        Ok(Some(bytes))
    }

    fn index_error(&self, source: serde_json::Error) -> Error {
        Error::Index { path: self.root().join("index.json"), source }
    }
}

fn entry(name: &Name) -> Value {
    let shown = name.wrapper.as_ref().unwrap_or(&name.target);
    let mut annotations = Map::new();
    annotations.insert(REF_NAME.into(), json!(name.name));
    if name.wrapper.is_some() {
        annotations.insert(SOURCE_DIGEST.into(), json!(name.target.digest));
        annotations.insert(SOURCE_TYPE.into(), json!(name.target.media_type));
        annotations.insert(SOURCE_SIZE.into(), json!(name.target.size.to_string()));
    }
    json!({
        "mediaType": shown.media_type,
        "digest": shown.digest,
        "size": shown.size,
        "annotations": annotations,
    })
}

fn source(annotations: &Annotations) -> Option<Descriptor> {
    let digest: Digest = annotations.get(SOURCE_DIGEST)?.parse().ok()?;
    let size = annotations.get(SOURCE_SIZE)?.parse().ok()?;
    let media_type = annotations.get(SOURCE_TYPE)?.clone();
    Some(Descriptor::new(&media_type, digest, size))
}

impl Name {
    /// A name for a document, for [`Store::remember`]. One that is not OCI's is wrapped in an OCI index: `platform` says
    /// what its image runs on.
    #[must_use]
    pub fn new(
        name: String,
        target: Descriptor,
        document: &[u8],
        platform: Option<&Platform>,
    ) -> (Self, Option<Vec<u8>>) {
        let wrapper = match target.media_type.as_str() {
            media_type::DOCKER_LIST => serde_json::from_slice(document).ok().and_then(|list: Value| {
                // A list has an index's form; only its media type differs.
                let manifests = list.get("manifests")?.clone();
                Some(json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests}))
            }),
            media_type::DOCKER_MANIFEST => {
                let mut only = json!({
                    "mediaType": target.media_type, "digest": target.digest, "size": target.size,
                });
                only["platform"] = match platform {
                    Some(platform) => json!(PlatformRecord::from(platform)),
                    None => json!({"os": "linux", "architecture": "unknown"}),
                };
                Some(json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [only]}))
            }
            _ => None,
        };
        let Some(bytes) = wrapper.map(|w| w.to_string().into_bytes()) else {
            return (Self { name, target, wrapper: None }, None);
        };
        let size = bytes.len() as u64;
        let wrapper = Descriptor::new(media_type::OCI_INDEX, Digest::sha256(&bytes), size);
        (Self { name, target, wrapper: Some(wrapper) }, Some(bytes))
    }
}
