//! The blob store on disk: an OCI image layout that concurrent runs share (R1, R6).
//!
//! ```text
//! DIR/oci-layout            marks the directory as an image layout (OCI image spec, image-layout.md)
//! DIR/index.json            names: annotation org.opencontainers.image.ref.name
//! DIR/blobs/sha256/HEX      whole and right, always
//! DIR/partial/sha256.HEX    what has arrived of a blob; locked by the process that fetches it
//! DIR/.lock                 held while index.json is rewritten
//! ```
//!
//! A blob comes to its name by a rename after its digest was checked. Partial files survive a kill, and the next run
//! carries on from them.

mod error;
mod flush;
mod hash_behind;
mod import;
mod index;
mod partial;
mod wait;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use error::{Error, Mismatch};
pub use import::Import;
pub use index::{Name, REF_NAME};
pub use partial::{Claim, Partial};

use crate::image::{Algorithm, Digest, Hasher};
use crate::sys::NewFile;

/// What `oci-layout` holds.
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// The `index.json` of a store without images.
const EMPTY_INDEX: &str =
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";

/// A blob store. Cheap to clone; every method may be called from any thread and process at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store in `dir`, and makes it when it is not there.
    ///
    /// # Errors
    /// When `dir` holds something that is no image layout, or cannot be made or read.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::at(dir, "cannot make the blob store"))?;
        let store = Self { root: dir.canonicalize().map_err(Error::at(dir, "cannot open the blob store"))? };
        let layout = store.root.join("oci-layout");
        if !layout.is_file() {
            store.require_empty()?;
            let _lock = store.lock()?;
            store.make_dir("partial")?;
            if !store.root.join("index.json").is_file() {
                store.replace("index.json", EMPTY_INDEX.as_bytes())?;
            }
            store.replace("oci-layout", LAYOUT.as_bytes())?;
        }
        store.make_dir("partial")?;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            store.make_dir(&format!("blobs/{}", algorithm.name()))?;
        }
        Ok(store)
    }

    /// Opens an image layout that is there already, to read it only.
    ///
    /// # Errors
    /// When `dir` is no image layout.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let root = dir.canonicalize().map_err(Error::at(dir, "cannot open the image layout"))?;
        if !root.join("index.json").is_file() {
            return Err(Error::NotALayout { path: root });
        }
        Ok(Self { root })
    }

    /// The store's directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob of `digest` stands or will stand.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// The path of a blob that is there with `size` bytes.
    #[must_use]
    pub fn blob(&self, digest: &Digest, size: u64) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        let meta = fs::metadata(&path).ok()?;
        (meta.is_file() && meta.len() == size).then_some(path)
    }

    /// The bytes of a document, verified; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read, is longer than `max` bytes, or is not what its digest says.
    pub fn document(&self, digest: &Digest, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::at(&path, "cannot open the blob")(e)),
        };
        let mut bytes = Vec::new();
        let limit = max.saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(Error::at(&path, "cannot read the blob"))?;
        if bytes.len() as u64 > max {
            return Err(Error::TooLong { path, max });
        }
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let found = hasher.finish();
        if found != *digest {
            return Err(Error::Mismatch { path, mismatch: Mismatch::Digest { expected: digest.clone(), found } });
        }
        Ok(Some(bytes))
    }

    /// Puts a document under its digest.
    ///
    /// # Errors
    /// When `bytes` are not what `digest` says, or cannot be written.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<PathBuf, Error> {
        match self.claim(digest, bytes.len() as u64)? {
            Claim::Present(path) => Ok(path),
            Claim::Partial(mut partial) => {
                partial.restart()?;
                partial.write(bytes)?;
                partial.commit()
            }
        }
    }

    /// Takes the blob of `digest` for writing. Waits while another process or thread is fetching it.
    ///
    /// # Errors
    /// When the partial file cannot be opened, locked or read.
    pub fn claim(&self, digest: &Digest, size: u64) -> Result<Claim, Error> {
        partial::claim(self, digest, size)
    }

    /// Starts a blob whose digest is not known yet.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn import(&self) -> Result<Import, Error> {
        Import::new(self)
    }

    fn make_dir(&self, name: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(Error::at(&path, "cannot make the directory"))
    }

    /// Nothing of others may stand where a store is made: a mistyped directory must not be strewn with blobs.
    fn require_empty(&self) -> Result<(), Error> {
        let ours = [".lock", "partial", "blobs", "oci-layout", "index.json", "lost+found"];
        let entries = fs::read_dir(&self.root).map_err(Error::at(&self.root, "cannot read the directory"))?;
        for entry in entries {
            let entry = entry.map_err(Error::at(&self.root, "cannot read the directory"))?;
            if !ours.iter().any(|name| entry.file_name() == *name) {
                return Err(Error::NotEmpty { path: self.root.clone() });
            }
        }
        Ok(())
    }

    /// The lock over everything but blobs, until it is dropped.
    fn lock(&self) -> Result<File, Error> {
        let path = self.root.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(Error::at(&path, "cannot open the lock"))?;
        let what = || format!("{}: waiting for another process that changes the store", self.root.display());
        wait::lock(&lock, what).map_err(Error::at(&path, "cannot lock the store"))?;
        Ok(lock)
    }

    /// Puts `bytes` in the place of a file of the store; only under the lock.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (dir, path) = (self.root.join("partial"), self.root.join(name));
        let write = || {
            use io::Write;
            let mut new = NewFile::new_in(&dir, name)?;
            new.file_mut().write_all(bytes)?;
            new.file().sync_data()?;
            new.persist(&path)
        };
        write().map_err(Error::at(&path, "cannot write"))
    }
}

#[cfg(test)]
mod tests;
