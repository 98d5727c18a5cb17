//! `index.json`: the names of the images in the store.

use serde_json::{Map, Value, json};

use super::{Error, Store, clock, read_whole, wrapper};
use crate::image::{Annotations, Descriptor, Digest, Entries, Platform};

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

    /// What `name` referred to at its source, if the store knows it: an index or a manifest.
    ///
    /// # Errors
    /// When `index.json` cannot be read.
    pub fn lookup(&self, name: &str) -> Result<Option<Descriptor>, Error> {
        let found = self.entries()?.into_iter().find(|e| e.annotations.get(REF_NAME).is_some_and(|n| n == name));
        Ok(found.map(|entry| match source(&entry.annotations) {
            Some(target) => target,
            None => Descriptor { annotations: Annotations::new(), ..entry },
        }))
    }

    /// Makes `name` refer to an image: to `document`, which `target` describes, and whose image runs on `platform`. Stores
    /// what readers of image layouts need to find it. The blobs of what the name referred to before stay.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn remember(
        &self,
        name: &str,
        target: &Descriptor,
        document: &[u8],
        platform: Option<&Platform>,
    ) -> Result<(), Error> {
        let wrapped = wrapper::wrap(target, document, platform);
        if let Some((wrapper, bytes)) = &wrapped {
            self.put(&wrapper.digest, bytes)?;
        }
        let now = clock::now();
        let new = entry(name, target, wrapped.as_ref().map(|(wrapper, _)| wrapper), now);
        let old = self.entries_as_written()?.into_iter().find(|entry| name_of(entry) == Some(name));
        let is_same = old.as_ref().is_some_and(|old| without_use(old) == without_use(&new));
        if is_same && old.is_some_and(|old| is_fresh(&old, now)) {
            return Ok(());
        }
        let written = self.lock().and_then(|_lock| {
            self.rewrite_entries(|entries| {
                entries.retain(|entry| name_of(entry) != Some(name));
                entries.push(new);
            })
        });
        match written {
            // A store that cannot be written can still serve what it has.
            Err(error) if is_same => {
                log::info!("the use of {name} is not remembered: {error}");
                Ok(())
            }
            written => written,
        }
    }

    /// Records that `name` is used now, if the store can be written.
    pub fn mark_used(&self, name: &str) {
        let now = clock::now();
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
        read_whole(&file, &path, "cannot read", MAX_INDEX).map(Some)
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

/// The entry for `name`: `target`, or what readers of image layouts are to find in its place.
fn entry(name: &str, target: &Descriptor, wrapper: Option<&Descriptor>, used: u64) -> Value {
    let shown = wrapper.unwrap_or(target);
    let mut annotations = Map::new();
    annotations.insert(REF_NAME.into(), json!(name));
    annotations.insert(USED.into(), json!(used.to_string()));
    if wrapper.is_some() {
        annotations.insert(SOURCE_DIGEST.into(), json!(target.digest));
        annotations.insert(SOURCE_TYPE.into(), json!(target.media_type));
        annotations.insert(SOURCE_SIZE.into(), json!(target.size.to_string()));
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
