//! The directories of a store, held open: their entries are opened by name from there, so that no symbolic link or swapped
//! directory leads elsewhere, and no FIFO blocks.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::Error;
use super::access::Access;
use crate::sys::{WRITE_BY_OTHERS, kind_in_words, open_at, open_directory, other_writers};

/// An open directory of a store or a layout.
#[derive(Debug)]
pub(super) struct StoreDirectory {
    path: PathBuf,
    file: File,
    access: Access,
}

impl StoreDirectory {
    /// Opens the directory at `path`, which the user named.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, Error> {
        let file = open_directory(path).map_err(|e| Error::at(path, "cannot open the directory")(e.into()))?.into();
        let directory = Self { path: path.to_path_buf(), file, access };
        directory.require_ours(&directory.file, &directory.path)?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the entry `name`.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Like [`Self::join`], for calls that take no descriptor; if there is a /proc, the path leads through the open
    /// directory.
    pub(super) fn through(&self, name: &str) -> PathBuf {
        let held = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        if held.exists() { held.join(name) } else { self.join(name) }
    }

    /// Opens a subdirectory; `None` if there is none.
    pub(super) fn directory(&self, name: &str) -> Result<Option<Self>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | self.links();
        let path = self.join(name);
        match open_at(&self.file, name, flags, Mode::empty()) {
            Ok(fd) => {
                let directory = Self { path, file: fd.into(), access: self.access };
                directory.require_ours(&directory.file, &directory.path)?;
                Ok(Some(directory))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::MLINK | Errno::NOTDIR) => {
                Err(Error::NotADirectory { path, found: self.kind(name) })
            }
            Err(error) => Err(Error::at(&path, "cannot open the directory")(error.into())),
        }
    }

    /// Opens a subdirectory, which is created if there is none.
    pub(super) fn make_directory(&self, name: &str) -> Result<Self, Error> {
        if let Some(directory) = self.directory(name)? {
            return Ok(directory);
        }
        let fail = |e: io::Error| Error::at(&self.join(name), "cannot make the directory")(e);
        match rustix::fs::mkdirat(&self.file, name, self.access.mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(fail(error.into())),
        }
        self.directory(name)?.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))
    }

    /// Opens a regular file for reading; `None` if there is nothing of this name.
    pub(super) fn file(&self, name: &str) -> Result<Option<File>, Error> {
        self.open_file(name, OFlags::RDONLY, Mode::empty())
    }

    /// Opens a regular file with `flags`, and creates it with `mode` if those say so; `None` if there is nothing of
    /// this name, or something where a new file should be.
    pub(super) fn open_file(&self, name: &str, flags: OFlags, mode: Mode) -> Result<Option<File>, Error> {
        let path = self.join(name);
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | self.links();
        match open_at(&self.file, name, flags, mode) {
            Ok(fd) => {
                let file = File::from(fd);
                let meta = file.metadata().map_err(Error::at(&path, "cannot examine"))?;
                if !meta.is_file() {
                    return Err(Error::NotAFile { path, found: kind_in_words(meta.file_type()) });
                }
                self.require_ours(&file, &path)?;
                Ok(Some(file))
            }
            // Where a new file may be made there is none only because the directory itself is gone.
            Err(error @ Errno::NOENT) if flags.contains(OFlags::CREATE) => {
                Err(Error::at(&path, "cannot make, its directory was removed")(error.into()))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::EXIST) if flags.contains(OFlags::EXCL) => Ok(None),
            Err(Errno::LOOP | Errno::MLINK | Errno::ISDIR | Errno::NXIO | Errno::NODEV) => {
                Err(Error::NotAFile { path, found: self.kind(name) })
            }
            Err(error) => Err(Error::at(&path, "cannot open")(error.into())),
        }
    }

    /// Creates an empty file; `None` if the name is taken.
    pub(super) fn new_file(&self, name: &str) -> Result<Option<File>, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.open_file(name, flags, self.access.mode(0o666))
    }

    /// Whether `file` is still the entry of this name.
    pub(super) fn holds(&self, name: &str, file: &File) -> bool {
        let named = rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        match (named, rustix::fs::fstat(file)) {
            (Ok(named), Ok(file)) => (named.st_dev, named.st_ino) == (file.st_dev, file.st_ino),
            _ => false,
        }
    }

    /// Renames an entry, replacing any that has the new name.
    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> Result<(), Error> {
        let renamed = rustix::fs::renameat(&self.file, name, &to.file, new);
        renamed.map_err(|e| Error::at(&to.join(new), "cannot give the file its name")(e.into()))
    }

    /// Removes an entry, if there is one of this name.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(Error::at(&self.join(name), "cannot remove")(error.into())),
        }
    }

    /// The names of its entries that are UTF-8, as all names in a store are, and the number of others.
    pub(super) fn names(&self) -> Result<(Vec<String>, usize), Error> {
        let fail = |e: Errno| Error::at(&self.path, "cannot read the directory")(e.into());
        let (mut names, mut others) = (Vec::new(), 0);
        for entry in retry_on_intr(|| rustix::fs::Dir::read_from(&self.file)).map_err(fail)? {
            match entry.map_err(fail)?.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => others += 1,
            }
        }
        Ok((names, others))
    }

    /// Fails if others may write to `file` at `path`, and the store is not shared with them (R1).
    fn require_ours(&self, file: &File, path: &Path) -> Result<(), Error> {
        if self.access != Access::Private {
            return Ok(());
        }
        let meta = file.metadata().map_err(Error::at(path, "cannot examine"))?;
        match other_writers(&meta) {
            Some(writers) => Err(Error::OpenToOthers { path: path.to_path_buf(), writers }),
            None => Ok(()),
        }
    }

    /// Removes the permissions of others that the umask left on `file`, a new one, unless the store is shared.
    pub(super) fn keep(&self, file: &File) -> io::Result<()> {
        let mode = file.metadata()?.permissions().mode();
        if self.access == Access::Private && mode & WRITE_BY_OTHERS != 0 {
            file.set_permissions(Permissions::from_mode(mode & 0o7777 & !WRITE_BY_OTHERS))?;
        }
        Ok(())
    }

    /// Describes the entry of this name in words.
    fn kind(&self, name: &str) -> &'static str {
        let stat = rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Symlink) => "a symbolic link",
            Ok(FileType::Directory) => "a directory",
            Ok(FileType::RegularFile) => "a regular file",
            Ok(FileType::Fifo) => "a FIFO",
            Ok(FileType::Socket) => "a socket",
            _ => "a device",
        }
    }

    /// A store makes no links, so a link in it is not ours; a layout that is read in place may consist of them.
    fn links(&self) -> OFlags {
        match self.access {
            Access::InPlace => OFlags::empty(),
            Access::Private | Access::Shared => OFlags::NOFOLLOW,
        }
    }
}
