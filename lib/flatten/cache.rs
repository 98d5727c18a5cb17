//! Keeps decoded layers for later runs, as plain tars named by their diffIds (F18).
//!
//! ```text
//!  DIR/sha256/HEX        a layer's tar; read-only, and never changed
//!  DIR/sha256/HEX.used   its mtime is when the layer was last used; locked by the process that makes the layer
//! ```
//!
//! A tar gets its name once it is complete and verified. A reader holds a shared lock on it, so that it is not dropped
//! meanwhile. If anything is wrong with the cache, or others could redirect its names, that is not an error: layers are
//! then decoded as if there were no cache.

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::image::Digest;
use crate::sys::{NewFile, open_flags, open_no_link, other_writers, try_lock, try_lock_shared, uninterrupted};

/// Where decoded layers are kept, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// The directory; created if needed.
    pub dir: PathBuf,
    /// Beyond this many bytes, the least recently used layers are dropped.
    pub size: Option<u64>,
}

/// The cache, as one run uses it.
#[derive(Debug)]
pub(super) struct LayerCache {
    options: CacheOptions,
    /// Something failed that would fail again.
    given_up: AtomicBool,
}

/// A layer being added to the cache. If it is dropped, nothing is left behind.
#[derive(Debug)]
pub(super) struct NewEntry {
    new: NewFile,
    path: PathBuf,
    /// Its lock tells others that the layer is being made.
    _making: File,
}

impl LayerCache {
    pub(super) fn new(options: CacheOptions) -> Self {
        let cache = Self { options, given_up: AtomicBool::new(false) };
        cache.shrink();
        cache
    }

    /// The tar with this diffId, if there is one. It is not dropped while the file is open.
    pub(super) fn find(&self, diff_id: &Digest) -> Option<File> {
        let path = self.path(diff_id);
        self.require_ours(&path).ok()?;
        let file = open_no_link(&path).ok()?;
        let stat = file.metadata().ok()?;
        // A file that others may write to could change after it was verified.
        if !stat.is_file() || other_writers(&stat).is_some() || !try_lock_shared(&file).ok()? {
            return None;
        }
        // It may have been dropped before we locked it.
        if file.metadata().ok()?.nlink() == 0 {
            return None;
        }
        // A read-only cache is still useful.
        let _ = used_file(&path).and_then(|used| touch(&used));
        Some(file)
    }

    /// Begins to add a layer; `None` if another process is doing so, or nothing can be kept.
    pub(super) fn begin(&self, diff_id: &Digest) -> Option<NewEntry> {
        if self.given_up.load(Ordering::Relaxed) {
            return None;
        }
        match self.try_begin(&self.path(diff_id)) {
            Ok(entry) => entry,
            Err(error) => {
                self.give_up(&error);
                None
            }
        }
    }

    fn try_begin(&self, path: &Path) -> io::Result<Option<NewEntry>> {
        let dir = path.parent().unwrap_or(path);
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        self.require_ours(path)?;
        let making = used_file(path)?;
        if !try_lock(&making)? {
            return Ok(None);
        }
        Ok(Some(NewEntry { new: NewFile::new_in(dir, "layer")?, path: path.into(), _making: making }))
    }

    /// Fails if others could replace the directories that lead to `path`.
    fn require_ours(&self, path: &Path) -> io::Result<()> {
        // The user named the first one, which may be a link.
        let inner = path.parent().unwrap_or(path);
        for stat in [fs::metadata(&self.options.dir)?, fs::symlink_metadata(inner)?] {
            if !stat.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            if let Some(writers) = other_writers(&stat) {
                return Err(io::Error::other(format!(
                    "not used, since {writers} (chown and chmod go-w make it yours alone)"
                )));
            }
        }
        Ok(())
    }

    /// Removes a tar whose content does not match its name.
    pub(super) fn remove(&self, diff_id: &Digest) {
        let path = self.path(diff_id);
        if let Err(error) = self.require_ours(&path).and_then(|()| fs::remove_file(&path)) {
            log::warn!("{}: cannot be removed: {error}", path.display());
        }
    }

    /// Stops adding layers, and says so once.
    pub(super) fn give_up(&self, error: &io::Error) {
        if !self.given_up.swap(true, Ordering::Relaxed) {
            log::warn!("{}: {error}: layers are decoded without being kept", self.options.dir.display());
        }
    }

    /// Drops the least recently used layers until the rest is within the limit. Layers in use stay.
    pub(super) fn shrink(&self) {
        let Some(limit) = self.options.size else { return };
        let mut kept = self.entries();
        let mut total: u64 = kept.iter().map(|entry| entry.size).sum();
        kept.sort_unstable_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        for CachedTar { path, size, .. } in kept {
            if total <= limit {
                return;
            }
            let unused = open_no_link(&path).and_then(|file| try_lock(&file).map(|locked| locked.then_some(file)));
            let Ok(Some(_locked)) = unused else { continue };
            if fs::remove_file(&path).is_ok() {
                log::info!("{}: dropped from the cache", path.display());
                // A process that is making the layer again holds a lock on it.
                let made_by_nobody = used_file(&path).and_then(|used| Ok(try_lock(&used)?.then_some(used)));
                if let Ok(Some(_locked)) = made_by_nobody {
                    let _ = fs::remove_file(used_path(&path));
                }
                total -= size;
            }
        }
    }

    /// All tars in the cache.
    fn entries(&self) -> Vec<CachedTar> {
        let mut found = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let dir = self.options.dir.join(algorithm);
            if self.require_ours(&dir.join("any")).is_err() {
                continue;
            }
            let Ok(names) = uninterrupted(|| fs::read_dir(&dir)) else { continue };
            for entry in names.flatten() {
                let name = entry.file_name();
                let is_digest = |hex| format!("{algorithm}:{hex}").parse::<Digest>().is_ok();
                let Ok(stat) = entry.metadata() else { continue };
                if !stat.is_file() || !name.to_str().is_some_and(is_digest) {
                    continue;
                }
                let path = entry.path();
                let used = fs::metadata(used_path(&path)).and_then(|stat| stat.modified());
                let used = used.or_else(|_| stat.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(CachedTar { path, size: stat.len(), used });
            }
        }
        found
    }

    fn path(&self, diff_id: &Digest) -> PathBuf {
        self.options.dir.join(diff_id.algorithm().name()).join(diff_id.hex())
    }
}

/// A tar in the cache.
struct CachedTar {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl NewEntry {
    /// Adds bytes at the end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.new.file_mut().write_all(bytes)
    }

    /// Gives the complete and verified tar its name. Returns it for reading.
    pub(super) fn finish(self) -> io::Result<File> {
        let file = self.new.file().try_clone()?;
        file.set_permissions(fs::Permissions::from_mode(0o400))?;
        // The lock of a reader.
        try_lock_shared(&file)?;
        self.new.persist(&self.path)?;
        Ok(file)
    }
}

fn used_path(path: &Path) -> PathBuf {
    path.with_extension("used")
}

fn used_file(path: &Path) -> io::Result<File> {
    let flags = open_flags(OFlags::NOFOLLOW | OFlags::NONBLOCK);
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(flags).open(used_path(path))
}

fn touch(file: &File) -> io::Result<()> {
    file.set_times(FileTimes::new().set_modified(SystemTime::now()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::time::Duration;

    use super::*;

    fn cache(dir: &Path, size: Option<u64>) -> LayerCache {
        LayerCache::new(CacheOptions { dir: dir.into(), size })
    }

    fn add(cache: &LayerCache, bytes: &[u8]) -> File {
        let mut entry = cache.begin(&Digest::sha256(bytes)).unwrap();
        entry.write(bytes).unwrap();
        entry.finish().unwrap()
    }

    fn found(cache: &LayerCache, bytes: &[u8]) -> bool {
        cache.find(&Digest::sha256(bytes)).is_some_and(|file| io::read_to_string(file).unwrap().as_bytes() == bytes)
    }

    #[test]
    fn a_layer_is_there_when_it_is_whole_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("cache");
        let (one, two) = (cache(&dir, None), cache(&dir, None));
        let id = Digest::sha256(b"whole");
        let mut entry = one.begin(&id).unwrap();
        entry.write(b"who").unwrap();
        assert!(two.find(&id).is_none());
        assert!(two.begin(&id).is_none(), "another makes it");
        drop(entry);
        assert!(two.find(&id).is_none());
        assert!(found_after(add(&two, b"whole"), &one));
        assert_eq!(fs::read_dir(dir.join("sha256")).unwrap().count(), 2);
        one.remove(&id);
        assert!(!found(&two, b"whole"));
    }

    fn found_after(_made: File, other: &LayerCache) -> bool {
        found(other, b"whole")
    }

    #[test]
    fn what_was_not_used_for_longest_is_dropped_unless_it_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let all = cache(dir.path(), None);
        let contents: Vec<Vec<u8>> = (0..4_u8).map(|number| vec![b'a' + number; 1000]).collect();
        let pause = || std::thread::sleep(Duration::from_millis(15));
        for bytes in &contents {
            drop(add(&all, bytes));
            pause();
        }
        assert!(found(&all, &contents[0]), "now it is the last");
        let held = all.find(&Digest::sha256(&contents[1])).unwrap();
        // The order of use is 2, 3, 0, 1.
        pause();
        touch(&used_file(&all.path(&Digest::sha256(&contents[1]))).unwrap()).unwrap();
        cache(dir.path(), Some(2000));
        assert_eq!(contents.iter().map(|bytes| found(&all, bytes)).collect::<Vec<_>>(), [true, true, false, false]);
        cache(dir.path(), Some(0));
        assert!(found(&all, &contents[1]), "it is in use");
        drop(held);
        cache(dir.path(), Some(0));
        assert_eq!(fs::read_dir(dir.path().join("sha256")).unwrap().count(), 0);
    }

    #[test]
    fn where_others_could_lead_elsewhere_nothing_is_kept_or_dropped() {
        let outer = tempfile::tempdir().unwrap();
        let (dir, elsewhere) = (outer.path().join("cache"), outer.path().join("elsewhere"));
        for made in [&dir, &elsewhere] {
            DirBuilder::new().mode(0o700).create(made).unwrap();
        }
        let victim = elsewhere.join(Digest::sha256(b"bytes").hex());
        fs::write(&victim, "bytes").unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.join("sha256")).unwrap();
        let led = cache(&dir, Some(0));
        assert!(led.begin(&Digest::sha256(b"other")).is_none() && !found(&led, b"bytes"));
        led.remove(&Digest::sha256(b"bytes"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);

        fs::remove_file(dir.join("sha256")).unwrap();
        drop(add(&cache(&dir, None), b"bytes"));
        for open in [&dir, &dir.join("sha256")] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
            let open_to_all = cache(&dir, Some(0));
            assert!(open_to_all.begin(&Digest::sha256(b"other")).is_none() && !found(&open_to_all, b"bytes"));
            // Where nobody may rename what is another's, as in /tmp, there is no harm.
            fs::set_permissions(open, fs::Permissions::from_mode(0o1777)).unwrap();
            assert!(found(&cache(&dir, None), b"bytes"));
            fs::set_permissions(open, fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn what_others_could_write_to_or_lead_away_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), None);
        drop(add(&cache, b"bytes"));
        let path = cache.path(&Digest::sha256(b"bytes"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(!found(&cache, b"bytes"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(found(&cache, b"bytes"));
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", &path).unwrap();
        assert!(!found(&cache, b"bytes"));
    }
}
