//! `index.json`: the names of the images in the store.

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{Error, Store};
use crate::image::layer_manifest::PlatformRecord;
use crate::image::{Annotations, Descriptor, Digest, Entries, Platform, media_type};

/// The annotation that carries an image's name (OCI image spec, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The largest `index.json` that is read, in bytes. It grows with every name the store has seen, so it may be longer than
/// a document from elsewhere.
const MAX_INDEX: u64 = 64 << 20;

/// Our annotations for what the registry's tag pointed at, where that differs from the entry: readers of image layouts
/// accept only OCI's media types, so the index lists a Docker manifest wrapped in an OCI index.
const SOURCE_DIGEST: &str = "vnd.oci-fetch.source.digest";
const SOURCE_TYPE: &str = "vnd.oci-fetch.source.mediaType";
const SOURCE_SIZE: &str = "vnd.oci-fetch.source.size";

/// Our annotation for the time an entry was last used, in seconds since 1970 (R10). It is rewritten only after
/// [`USED_GRAIN`] seconds, so that constant use costs nothing.
const USED: &str = "vnd.oci-fetch.used";
const USED_GRAIN: u64 = 3600;

/// A name in the store and the document it refers to.
#[derive(Clone, Debug)]
pub struct StoredName {
    /// The image's name.
    pub name: String,
    /// What the name referred to at its source: an index or a manifest.
    pub target: Descriptor,
    /// What readers of image layouts find under the name, if that is another document.
    pub wrapper: Option<Descriptor>,
}

impl Store {
    /// All entries of `index.json`, unchanged.
    ///
    /// # Errors
    /// When it cannot be read or is not an index.
    pub fn entries(&self) -> Result<Vec<Descriptor>, Error> {
        #[derive(serde::Deserialize)]
        struct Raw {
            #[serde(default)]
            manifests: Entries,
        }
        let Some(bytes) = self.read_index()? else { return Ok(Vec::new()) };
        let raw: Raw = serde_json::from_slice(&bytes).map_err(|e| self.index_error(e))?;
        Ok(raw.manifests.0)
    }

    /// What `name` refers to, if the store knows it.
    ///
    /// # Errors
    /// When `index.json` cannot be read.
    pub fn lookup(&self, name: &str) -> Result<Option<StoredName>, Error> {
        let found = self.entries()?.into_iter().find(|e| e.annotations.get(REF_NAME).is_some_and(|n| n == name));
        Ok(found.map(|entry| {
            let source = source(&entry.annotations);
            let plain = Descriptor { annotations: Annotations::new(), ..entry };
            match source {
                Some(target) => StoredName { name: name.to_owned(), target, wrapper: Some(plain) },
                None => StoredName { name: name.to_owned(), target: plain, wrapper: None },
            }
        }))
    }

    /// Makes a name refer to an image, and stores what readers of image layouts need to find it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn remember(&self, (name, wrapper): &(StoredName, Option<Vec<u8>>)) -> Result<(), Error> {
        if let (Some(wrapper), Some(descriptor)) = (wrapper, &name.wrapper) {
            self.put(&descriptor.digest, wrapper)?;
        }
        self.set_name(name)
    }

    /// Makes `name` refer to an image. The blobs of what it referred to before stay.
    ///
    /// # Errors
    /// When `index.json` cannot be read or written.
    pub(super) fn set_name(&self, name: &StoredName) -> Result<(), Error> {
        let now = seconds(SystemTime::now());
        let new = entry(name, now);
        let old = self.entries_as_written()?.into_iter().find(|entry| name_of(entry) == Some(&name.name));
        let is_same = old.as_ref().is_some_and(|old| without_use(old) == without_use(&new));
        if is_same && old.is_some_and(|old| is_fresh(&old, now)) {
            return Ok(());
        }
        let written = self.lock().and_then(|_lock| {
            self.rewrite_entries(|entries| {
                entries.retain(|entry| name_of(entry) != Some(&name.name));
                entries.push(new);
            })
        });
        match written {
            // A store that cannot be written can still serve what it has.
            Err(error) if is_same => {
                log::info!("the use of {} is not remembered: {error}", name.name);
                Ok(())
            }
            written => written,
        }
    }

    /// Records that `name` is used now, if the store can be written.
    pub fn mark_used(&self, name: &str) {
        let now = seconds(SystemTime::now());
        let is_due = |entry: &Value| name_of(entry) == Some(name) && !is_fresh(entry, now);
        let mark = || {
            if !self.entries_as_written()?.iter().any(is_due) {
                return Ok(());
            }
            let _lock = self.lock()?;
            self.rewrite_entries(|entries| {
                entries.iter_mut().filter(|entry| is_due(entry)).for_each(|entry| set_used(entry, now));
            })
        };
        if let Err(error) = mark() {
            log::info!("the use of {name} is not remembered: {error}");
        }
    }

    /// Removes the names that have not been used for `age` seconds; those of other tools count from when they were first
    /// seen here. Call it only under the lock. Returns what the remaining names refer to, and how many were removed.
    pub(super) fn forget(&self, now: u64, age: u64) -> Result<(Vec<Digest>, u64), Error> {
        let (mut kept, mut forgotten) = (Vec::new(), 0);
        let digest = |value: &Value| value.as_str().and_then(|text| text.parse::<Digest>().ok());
        self.rewrite_entries(|entries| {
            entries.retain_mut(|entry| {
                let used = used(entry).unwrap_or(now);
                let is_kept = now.saturating_sub(used) < age;
                set_used(entry, used);
                if is_kept {
                    kept.extend(digest(&entry["digest"]));
                    kept.extend(digest(&entry["annotations"][SOURCE_DIGEST]));
                } else {
                    forgotten += 1;
                }
                is_kept
            });
        })?;
        Ok((kept, forgotten))
    }

    /// Changes the entries of `index.json`. Call it only under the lock.
    fn rewrite_entries(&self, change: impl FnOnce(&mut Vec<Value>)) -> Result<(), Error> {
        let bytes = self.read_index()?;
        let parsed: Option<Value> =
            bytes.as_deref().map(serde_json::from_slice).transpose().map_err(|e| self.index_error(e))?;
        let mut index = match parsed {
            Some(Value::Object(index)) => index,
            _ => Map::new(),
        };
        index.entry("schemaVersion").or_insert(json!(2));
        let mut entries = match index.remove("manifests") {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        let before = entries.clone();
        change(&mut entries);
        let is_changed = before != entries;
        index.insert("manifests".into(), Value::Array(entries));
        if is_changed { self.replace("index.json", Value::Object(index).to_string().as_bytes()) } else { Ok(()) }
    }

    fn entries_as_written(&self) -> Result<Vec<Value>, Error> {
        let Some(bytes) = self.read_index()? else { return Ok(Vec::new()) };
        let index: Value = serde_json::from_slice(&bytes).map_err(|e| self.index_error(e))?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    fn read_index(&self) -> Result<Option<Vec<u8>>, Error> {
        let (root, path) = (&self.0.root, self.root().join("index.json"));
        let Some(file) = root.file("index.json")? else { return Ok(None) };
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

/// The name of an entry.
fn name_of(entry: &Value) -> Option<&str> {
    entry["annotations"][REF_NAME].as_str()
}

/// When an entry was last used, in seconds since 1970.
fn used(entry: &Value) -> Option<u64> {
    entry["annotations"][USED].as_str()?.parse().ok()
}

/// Whether the recorded time of the last use is recent enough.
fn is_fresh(entry: &Value, now: u64) -> bool {
    used(entry).is_some_and(|used| now.saturating_sub(used) < USED_GRAIN)
}

fn set_used(entry: &mut Value, time: u64) {
    if let Value::Object(fields) = entry {
        let annotations = fields.entry("annotations").or_insert(json!({}));
        if let Value::Object(annotations) = annotations {
            annotations.insert(USED.into(), json!(time.to_string()));
        }
    }
}

fn without_use(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(annotations) = entry["annotations"].as_object_mut() {
        annotations.remove(USED);
    }
    entry
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn entry(name: &StoredName, used: u64) -> Value {
    let shown = name.wrapper.as_ref().unwrap_or(&name.target);
    let mut annotations = Map::new();
    annotations.insert(REF_NAME.into(), json!(name.name));
    annotations.insert(USED.into(), json!(used.to_string()));
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

impl StoredName {
    /// A name for a document, for [`Store::remember`]. A document that is not OCI's is wrapped in an OCI index; `platform`
    /// is what its image runs on.
    #[must_use]
    pub fn new(
        name: String,
        target: Descriptor,
        document: &[u8],
        platform: Option<&Platform>,
    ) -> (Self, Option<Vec<u8>>) {
        let wrapper = match target.media_type.as_str() {
            media_type::DOCKER_LIST => serde_json::from_slice(document).ok().and_then(|list: Value| {
                // A list has the form of an index; only its media type differs.
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
