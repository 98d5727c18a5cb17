//! The blob store on disk: an OCI image layout that concurrent runs share (R1, R6).
//!
//! ```text
//! DIR/oci-layout            marks the directory as an image layout (OCI image spec, image-layout.md)
//! DIR/index.json            names: annotation org.opencontainers.image.ref.name
//! DIR/blobs/sha256/HEX      always complete and correct
//! DIR/partial/sha256.HEX    the part of a blob that has arrived; locked by the process that fetches it
//! DIR/.lock                 held while index.json is rewritten
//! DIR/.in-use               shared lock of every fetch, exclusive lock of pruning
//! ```
//!
//! A blob gets its name by a rename after its digest was checked. Partial files survive a kill, and the next run resumes
//! them. A transfer that starts over does so in a new file, since somebody may be reading the old one (M4).
//!
//! The content of a store is not trusted: its directories are held open (`directory`), every file must be a regular one
//! and no link, the permissions of others are checked first ([`Access`]), waits for locks are bounded (`wait`), and a blob
//! that was modified since it was verified is verified again (`verified`).

mod access;
mod clock;
mod directory;
mod error;
mod flush;
mod hash_behind;
mod import;
mod index;
mod partial;
mod prune;
mod verified;
mod wait;
mod wrapper;

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

pub use access::{Access, Options};
pub use error::{Error, Mismatch};
pub use import::Import;
pub use index::REF_NAME;
pub use partial::{Claim, PartialBlob};
pub use prune::Pruned;

use directory::StoreDirectory;

use crate::image::{Algorithm, Digest};
use crate::sys::{NewFile, try_lock, try_lock_shared};

/// The content of `oci-layout`.
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// The `index.json` of a store without images.
const EMPTY_INDEX: &str =
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";

/// A blob store. Cheap to clone; all methods may be called concurrently, from any thread and process.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    root: StoreDirectory,
    /// The shared lock of fetches, held until the store is closed; absent if the store is only read or cannot be locked.
    in_use: Option<File>,
    /// Absent in a layout that is only read.
    partial: Option<StoreDirectory>,
    sha256: Option<StoreDirectory>,
    sha512: Option<StoreDirectory>,
}

impl Store {
    /// Opens the store in `dir`, which is created if necessary.
    ///
    /// # Errors
    /// When `dir` contains something that is not an image layout, is open to others, or cannot be created or read.
    pub fn create(dir: &Path, options: Options) -> Result<Self, Error> {
        let mode = if options.access == Access::Shared { 0o777 } else { 0o755 };
        let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
        made.map_err(Error::at(dir, "cannot make the blob store"))?;
        let root = dir.canonicalize().map_err(Error::at(dir, "cannot open the blob store"))?;
        let root = StoreDirectory::open(&root, options.access)?;
        let is_new = root.file("oci-layout")?.is_none();
        if is_new {
            require_empty(&root)?;
        }
        let in_use = use_together(&root, options, OFlags::CREATE)?;
        let partial = root.make_directory("partial")?;
        let blobs = root.make_directory("blobs")?;
        let blobs = |algorithm: Algorithm| blobs.make_directory(algorithm.name()).map(Some);
        let (sha256, sha512) = (blobs(Algorithm::Sha256)?, blobs(Algorithm::Sha512)?);
        let store = Self(Arc::new(Inner { options, root, in_use, partial: Some(partial), sha256, sha512 }));
        if is_new {
            let _lock = store.lock()?;
            if store.0.root.file("index.json")?.is_none() {
                store.replace("index.json", EMPTY_INDEX.as_bytes())?;
            }
            store.replace("oci-layout", LAYOUT.as_bytes())?;
        }
        Ok(store)
    }

    /// Opens an existing image layout or store, and creates nothing in it.
    ///
    /// # Errors
    /// When `dir` is not an image layout, is open to others, or cannot be read.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        let root = dir.canonicalize().map_err(Error::at(dir, "cannot open the image layout"))?;
        let root = StoreDirectory::open(&root, options.access)?;
        if root.file("index.json")?.is_none() {
            return Err(Error::NotALayout { path: root.path().to_path_buf() });
        }
        let (partial, in_use) = match options.access {
            Access::InPlace => (None, None),
            Access::Private | Access::Shared => {
                (root.directory("partial")?, use_together(&root, options, OFlags::empty())?)
            }
        };
        let blobs = root.directory("blobs")?;
        let of = |algorithm: Algorithm| match &blobs {
            Some(blobs) => blobs.directory(algorithm.name()),
            None => Ok(None),
        };
        let (sha256, sha512) = (of(Algorithm::Sha256)?, of(Algorithm::Sha512)?);
        Ok(Self(Arc::new(Inner { options, root, in_use, partial, sha256, sha512 })))
    }

    /// The store's directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.0.root.path()
    }

    /// The path of the blob of `digest`, whether it exists or not.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Opens the file in the place of the blob of `digest`, whatever its content; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be opened or is not a regular file.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>, Error> {
        match self.blobs(digest.algorithm()) {
            Some(directory) => directory.file(digest.hex()),
            None => Ok(None),
        }
    }

    /// The length in bytes of the file in the place of the blob of `digest`.
    ///
    /// # Errors
    /// As [`open_blob`](Self::open_blob).
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let Some(file) = self.open_blob(digest)? else { return Ok(None) };
        let meta = file.metadata().map_err(Error::at(&self.blob_path(digest), "cannot examine the blob"))?;
        Ok(Some(meta.len()))
    }

    /// The path of a blob that exists with `size` bytes. In a store, it is verified if it was modified since it last was.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it has other bytes, [`Error::NotAFile`] when it is not a file, others from the file system.
    pub fn blob(&self, digest: &Digest, size: u64) -> Result<Option<PathBuf>, Error> {
        let Some(file) = self.open_blob(digest)? else { return Ok(None) };
        let path = self.blob_path(digest);
        let meta = file.metadata().map_err(Error::at(&path, "cannot examine the blob"))?;
        if meta.len() != size {
            return Ok(None);
        }
        if self.0.options.access != Access::InPlace {
            verified::check(&file, &meta, digest, &path)?;
            if !verified::keep(&file, &meta).map_err(Error::at(&path, "cannot lock the blob"))? {
                return Ok(None);
            }
        }
        Ok(Some(path))
    }

    /// Like [`blob`](Self::blob), for callers that can fetch it: if it is damaged, or not a file, this is logged and it
    /// counts as absent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn whole_blob(&self, digest: &Digest, size: u64) -> Result<Option<PathBuf>, Error> {
        match self.blob(digest, size) {
            Err(error @ (Error::Mismatch { .. } | Error::NotAFile { .. } | Error::OpenToOthers { .. })) => {
                log::warn!("{error}; fetching it again");
                Ok(None)
            }
            other => other,
        }
    }

    /// The verified bytes of a document; `None` if it is not there.
    ///
    /// # Errors
    /// When it cannot be read, is longer than `max` bytes, or does not match its digest.
    pub fn document(&self, digest: &Digest, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_blob(digest)? else { return Ok(None) };
        let path = self.blob_path(digest);
        let bytes = read_whole(&file, &path, "cannot read the blob", max)?;
        let found = Digest::of(digest.algorithm(), &bytes);
        if found != *digest {
            return Err(Error::Mismatch { path, mismatch: Mismatch::Digest { expected: digest.clone(), found } });
        }
        Ok(Some(bytes))
    }

    /// Removes what is in the place of the blob of `digest` but is something else.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self, digest: &Digest) -> Result<(), Error> {
        self.blobs(digest.algorithm()).map_or(Ok(()), |directory| directory.remove(digest.hex()))
    }

    fn blobs(&self, algorithm: Algorithm) -> Option<&StoreDirectory> {
        match algorithm {
            Algorithm::Sha256 => self.0.sha256.as_ref(),
            Algorithm::Sha512 => self.0.sha512.as_ref(),
        }
    }

    /// The directory of new blobs.
    fn blobs_to_write(&self, digest: &Digest) -> Result<&StoreDirectory, Error> {
        self.blobs(digest.algorithm()).ok_or_else(|| self.read_only())
    }

    /// The directory of partial files.
    fn partial(&self) -> Result<&StoreDirectory, Error> {
        self.0.partial.as_ref().ok_or_else(|| self.read_only())
    }

    fn read_only(&self) -> Error {
        Error::at(self.root(), "is only read")(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Takes the lock of everything but blobs, which is held until it is dropped.
    fn lock(&self) -> Result<File, Error> {
        let root = &self.0.root;
        let path = root.join(".lock");
        let lock = root.open_file(".lock", OFlags::RDWR | OFlags::CREATE, lock_mode(self.0.options.access))?;
        let lock = lock.ok_or_else(|| Error::at(&path, "cannot open the lock")(io::ErrorKind::NotFound.into()))?;
        let what = || format!("{}: waiting for another process that changes the store", self.root().display());
        wait_for(|| try_lock(&lock), self.0.options, path, what).map(|()| lock)
    }

    /// Replaces the content of a file of the store. Call it only under the lock.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (dir, root) = (self.partial()?, &self.0.root);
        let write = || {
            use io::Write;
            let mut new = NewFile::new_in(&dir.through(""), name)?;
            dir.keep(new.file())?;
            new.file_mut().write_all(bytes)?;
            new.file().sync_data()?;
            new.persist(&root.through(name))
        };
        write().map_err(Error::at(&root.join(name), "cannot write"))
    }
}

/// All bytes of a file of the store, at most `max`; `what` is said if it cannot be read.
fn read_whole(file: &File, path: &Path, what: &'static str, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::at(path, what))?;
    if bytes.len() as u64 > max {
        return Err(Error::TooLong { path: path.to_path_buf(), max });
    }
    Ok(bytes)
}

/// The mode of lock files: whoever can open a file can lock it, so nobody else may open these.
fn lock_mode(access: Access) -> Mode {
    match access {
        Access::Shared => Mode::from_raw_mode(0o666),
        Access::Private | Access::InPlace => Mode::from_raw_mode(0o600),
    }
}

/// Takes the shared lock of a store's users, so that nobody prunes it exclusively. A user who can only read the store, and
/// so may not open the lock, does without.
fn use_together(root: &StoreDirectory, options: Options, create: OFlags) -> Result<Option<File>, Error> {
    let path = root.join(".in-use");
    let lock = match root.open_file(".in-use", OFlags::RDWR | create, lock_mode(options.access)) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Ok(None),
        Err(Error::Io { source, .. }) if is_read_only(&source) => return Ok(None),
        Err(error) => return Err(error),
    };
    let what = || format!("{}: waiting for another process that prunes the store", root.path().display());
    wait_for(|| try_lock_shared(&lock), options, path, what)?;
    Ok(Some(lock))
}

/// Waits for a lock of the store, at `path`, that `lock` tries to take.
fn wait_for(
    lock: impl Fn() -> io::Result<bool>,
    options: Options,
    path: PathBuf,
    what: impl Fn() -> String,
) -> Result<(), Error> {
    if wait::lock(lock, options.patience, || 0, what).map_err(Error::at(&path, "cannot lock the store"))? {
        Ok(())
    } else {
        Err(Error::Locked { path, seconds: options.patience.as_secs() })
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A store is created only in a directory without other files: blobs must not be strewn over a mistyped directory.
fn require_empty(root: &StoreDirectory) -> Result<(), Error> {
    let ours = [".lock", ".in-use", "partial", "blobs", "oci-layout", "index.json", "lost+found"];
    let (names, others) = root.names()?;
    if others == 0 && names.iter().all(|name| ours.contains(&name.as_str())) {
        Ok(())
    } else {
        Err(Error::NotEmpty { path: root.path().to_path_buf() })
    }
}

#[cfg(test)]
mod tests;
