//! Frees space (R10): removes names that have not been used for long, then blobs that no name leads to.
//!
//! Every fetch holds a shared lock on `.in-use`. Pruning tries for the exclusive lock: with it, nobody is about to use a
//! blob that no name leads to yet. Without it, pruning still runs, but spares everything made or used within the last day,
//! judging by a blob's ctime, which [`Store::blob`] renews. Nobody can start to use a blob between that check and its
//! removal, since both are done under the blob's own lock.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde_json::Value;

use super::directory::StoreDirectory;
use super::{Error, Store, clock};
use crate::image::{Algorithm, Digest, MAX_DOCUMENT};
use crate::sys::try_lock;

/// Younger blobs are spared while others fetch.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names of images.
    pub names: u64,
    /// Blobs and unfinished transfers.
    pub files: u64,
    /// The total size of those files in bytes.
    pub bytes: u64,
}

impl Store {
    /// Removes the names of images that have not been used for `age`, then blobs of that age that no other name needs.
    ///
    /// # Errors
    /// When the store cannot be read or written, or another process keeps its lock.
    pub fn prune(&self, age: Duration) -> Result<Pruned, Error> {
        let now = clock::now();
        let is_alone = match &self.0.in_use {
            Some(lock) => try_lock(lock).map_err(Error::at(&self.root().join(".in-use"), "cannot lock"))?,
            None => false,
        };
        if !is_alone {
            log::info!("{}: others are fetching, what is younger than a day is spared", self.root().display());
        }
        let mut pruned = Pruned::default();
        let lock = self.lock()?;
        let (kept, names) = self.forget(now, age.as_secs())?;
        pruned.names = names;
        let needed = self.reach(kept)?;
        let before = now.saturating_sub(if is_alone { age } else { age.max(GRACE) }.as_secs());
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let Some(directory) = self.blobs(algorithm) else { continue };
            for name in directory.names()?.0 {
                let digest = format!("{}:{name}", algorithm.name()).parse::<Digest>();
                // A file whose name is not a blob's is not ours.
                if digest.is_ok_and(|digest| !needed.contains(&digest)) {
                    remove(directory, &name, before, &mut pruned)?;
                }
            }
        }
        let partial = self.partial()?;
        for name in partial.names()?.0 {
            remove(partial, &name, before, &mut pruned)?;
        }
        drop(lock);
        Ok(pruned)
    }

    /// All blobs that these documents lead to.
    fn reach(&self, from: Vec<Digest>) -> Result<HashSet<Digest>, Error> {
        let mut ahead = from;
        let mut reached = HashSet::new();
        while let Some(digest) = ahead.pop() {
            if reached.contains(&digest) {
                continue;
            }
            let file = match self.open_blob(&digest) {
                Ok(file) => file,
                Err(Error::NotAFile { .. } | Error::OpenToOthers { .. }) => None,
                Err(error) => return Err(error),
            };
            if let Some(file) = file {
                ahead.extend(digests(file));
            }
            reached.insert(digest);
        }
        Ok(reached)
    }
}

/// All digests in a document, wherever they are; none if it is not a document.
fn digests(file: File) -> Vec<Digest> {
    let mut bytes = Vec::new();
    let mut first = [0];
    let is_document = (&file).read(&mut first).is_ok_and(|len| len == 1 && first == *b"{");
    if !is_document || file.take(MAX_DOCUMENT).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    bytes.insert(0, b'{');
    let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { return Vec::new() };
    let (mut found, mut ahead) = (Vec::new(), vec![&document]);
    while let Some(value) = ahead.pop() {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("digest").and_then(Value::as_str).and_then(|text| text.parse().ok()));
                ahead.extend(fields.values());
            }
            Value::Array(items) => ahead.extend(items),
            _ => {}
        }
    }
    found
}

/// Removes a file that was last changed before `before`, unless it is locked.
fn remove(directory: &StoreDirectory, name: &str, before: u64, pruned: &mut Pruned) -> Result<(), Error> {
    let file = match directory.file(name) {
        Ok(Some(file)) => file,
        // It is not ours, or already gone.
        Ok(None) | Err(Error::NotAFile { .. } | Error::OpenToOthers { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let fail = |e| Error::at(&directory.join(name), "cannot examine")(e);
    if !try_lock(&file).map_err(fail)? {
        return Ok(());
    }
    let meta = file.metadata().map_err(fail)?;
    if u64::try_from(meta.ctime()).unwrap_or(0) > before || !directory.holds(name, &file) {
        return Ok(());
    }
    directory.remove(name)?;
    pruned.files += 1;
    pruned.bytes = pruned.bytes.saturating_add(meta.len());
    Ok(())
}
