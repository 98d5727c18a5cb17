//! Files that have no name until they are complete, so that a kill leaves nothing behind (S2).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::try_lock;
use super::open::open_to_read;
use super::os;
use super::temporary::{TemporaryName, create_locked};

/// A new file without a name, or with a temporary one if the system or the file system does not support unnamed files.
///
/// It vanishes when it is dropped, or when a signal ends the process. After a SIGKILL, a temporary name is left behind
/// until the next [`NewFile`] with the same directory and stem removes it.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    dir: PathBuf,
    stem: String,
    name: Option<TemporaryName>,
}

impl NewFile {
    /// A new file, open for reading and writing, on the file system of `dir`. A temporary name begins with `stem`.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn new_in(dir: &Path, stem: &str) -> io::Result<Self> {
        match os::unnamed(dir)? {
            Some(file) => {
                // If it needs a temporary name later, this shows that it belongs to a living process.
                let _ = try_lock(&file);
                Ok(Self { file, dir: dir.into(), stem: stem.into(), name: None })
            }
            None => Self::named(dir, stem),
        }
    }

    fn named(dir: &Path, stem: &str) -> io::Result<Self> {
        let (file, name) = TemporaryName::make(dir, stem, create_locked)?;
        Ok(Self { file, dir: dir.into(), stem: stem.into(), name: Some(name) })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file, mutably.
    pub fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it the name `path`, on the same file system, replacing what has that name. Since a link cannot replace a
    /// file, this may go by way of a temporary name.
    ///
    /// # Errors
    /// As the system reports them; whatever has that name is unchanged then.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        let name = match self.name {
            Some(name) => name,
            None => match os::link_unnamed(&self.file, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let link = |name: &Path| os::link_unnamed(&self.file, name);
                    TemporaryName::make(&self.dir, &self.stem, link)?.1
                }
                linked => return linked,
            },
        };
        name.persist(path)
    }

    /// Like [`persist`](Self::persist), but reversible: until [`Replaced::keep`], the previous file is kept under a
    /// temporary name.
    ///
    /// # Errors
    /// As [`persist`](Self::persist).
    pub fn replace(self, path: &Path) -> io::Result<Replaced> {
        let link = |name: &Path| fs::hard_link(path, name);
        let old = match TemporaryName::make(&self.dir, &self.stem, link) {
            Ok(((), name)) => name,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.persist(path)?;
                return Ok(Replaced(Before::Nothing(TemporaryName::of(path))));
            }
            // A file system without links, or somebody else's file (fs.protected_hardlinks).
            Err(_) => {
                self.persist(path)?;
                return Ok(Replaced(Before::Lost));
            }
        };
        // While this is open, nobody takes the temporary name for that of a dead process.
        let lock = open_to_read(path).ok().filter(|file| try_lock(file).is_ok());
        old.restore_to(Some(path));
        // Do not restore it after a failure: somebody else may have replaced it meanwhile.
        self.persist(path).inspect_err(|_| old.restore_to(None))?;
        Ok(Replaced(Before::File { name: old, _lock: lock }))
    }
}

/// What a [`NewFile`] has replaced. When this is dropped, or a signal ends the process, the previous file is restored.
#[derive(Debug)]
pub struct Replaced(Before);

#[derive(Debug)]
enum Before {
    Nothing(TemporaryName),
    /// The old file, under a temporary name.
    File {
        name: TemporaryName,
        _lock: Option<File>,
    },
    /// A file that could not get a second name: it cannot be restored.
    Lost,
}

impl Replaced {
    /// Keeps the new file.
    pub fn keep(self) {
        match self.0 {
            Before::Nothing(name) => name.keep(),
            Before::File { name, .. } => name.restore_to(None),
            Before::Lost => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::io::Write;

    use super::*;

    fn listing(dir: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    }

    type Make = fn(&Path, &str) -> io::Result<NewFile>;
    const WAYS: [Make; 2] = [NewFile::new_in, NewFile::named];

    #[test]
    fn a_file_takes_the_place_of_another_and_leaves_nothing_aside() {
        for make in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            for text in ["first", "second"] {
                let mut new = make(dir.path(), ".new").unwrap();
                new.file_mut().write_all(text.as_bytes()).unwrap();
                new.persist(&path).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                assert_eq!(listing(dir.path()), std::slice::from_ref(&path));
            }
            drop(make(dir.path(), ".new").unwrap());
            assert_eq!(listing(dir.path()), std::slice::from_ref(&path));
            let directory = dir.path().join("directory");
            fs::create_dir(&directory).unwrap();
            assert!(make(dir.path(), ".new").unwrap().persist(&directory).is_err());
            assert_eq!(listing(dir.path()), [directory, path]);
        }
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_hold_stays() {
        for make in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            fs::write(&path, "old").unwrap();
            // As one that was killed leaves it.
            fs::write(dir.path().join(".new-0"), "dead").unwrap();
            let alive = NewFile::named(dir.path(), ".new").unwrap();
            assert_eq!(listing(dir.path()), [dir.path().join(".new-0"), path.clone()]);
            assert_eq!(fs::read(dir.path().join(".new-0")).unwrap(), b"");
            make(dir.path(), ".new").unwrap().persist(&path).unwrap();
            assert_eq!(listing(dir.path()), [dir.path().join(".new-0"), path.clone()]);
            drop(alive);
            assert_eq!(listing(dir.path()), [path]);
        }
    }

    #[test]
    fn what_is_no_file_of_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join(".new-0")).unwrap();
        fs::create_dir(dir.path().join(".new-1")).unwrap();
        drop(NewFile::named(dir.path(), ".new").unwrap());
        assert_eq!(listing(dir.path()), [dir.path().join(".new-0"), dir.path().join(".new-1")]);
    }

    #[test]
    fn a_replacement_can_be_undone() {
        for make in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            let replace = |text: &str| {
                let mut new = make(dir.path(), ".new").unwrap();
                new.file_mut().write_all(text.as_bytes()).unwrap();
                let replaced = new.replace(&path).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                replaced
            };
            drop(replace("nothing stood here"));
            assert!(listing(dir.path()).is_empty());
            replace("first").keep();
            assert_eq!(listing(dir.path()), std::slice::from_ref(&path));
            drop(replace("second"));
            assert_eq!(fs::read_to_string(&path).unwrap(), "first");
            replace("third").keep();
            assert_eq!(fs::read_to_string(&path).unwrap(), "third");
            assert_eq!(listing(dir.path()), [path]);
        }
    }
}
