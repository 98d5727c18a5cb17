//! Walks paths that must not leave a directory by descriptors, including symbolic links.
//!
//! The directory may contain links and `..` that lead anywhere, and root may be reading it. So each component is opened
//! from the one before it, and never through a link; the components of a link's target are walked in its place.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::sys::{open_at, open_directory};

/// The most links on one path; the kernel's limit.
const MAX_LINKS: u32 = 40;

/// The longest path in bytes, including the targets of its links; the kernel's limit.
const MAX_PATH: usize = 4096;

/// Why a path was not walked.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    /// The path or a link on it leads out of the directory.
    #[error("leads out of {}", .0.display())]
    Out(PathBuf),
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A directory that paths must not leave.
#[derive(Debug)]
pub(super) struct Beneath {
    path: PathBuf,
    fd: OwnedFd,
}

impl Beneath {
    /// Opens the directory at `path`, which is trusted.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), fd: open_directory(path)? })
    }

    /// Walks `path` to a directory; returns it with its path without links.
    pub(super) fn directory(&self, path: &Path) -> Result<Self, WalkError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // The components already walked, and those still to walk, the next one last.
        let mut walked: Vec<(OsString, OwnedFd)> = Vec::new();
        let mut ahead: Vec<OsString> = Vec::new();
        self.push(&mut ahead, path)?;
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                walked.pop().ok_or_else(|| self.out())?;
                continue;
            }
            let here = walked.last().map_or(&self.fd, |(_, fd)| fd);
            match open_at(here, &*name, flags, Mode::empty()) {
                Ok(fd) => walked.push((name, fd)),
                // A link or a file; if it is a file, reading it as a link fails.
                Err(error @ (Errno::LOOP | Errno::MLINK | Errno::NOTDIR)) => {
                    let target = match rustix::fs::readlinkat(here, &name, Vec::new()) {
                        Ok(target) => PathBuf::from(OsString::from_vec(target.into_bytes())),
                        Err(_) => return Err(io::Error::from(error).into()),
                    };
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::from(Errno::LOOP).into());
                    }
                    self.push(&mut ahead, &target)?;
                }
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        let path = walked.iter().fold(self.path.clone(), |path, (name, _)| path.join(name));
        match walked.pop() {
            Some((_, fd)) => Ok(Self { path, fd }),
            None => Ok(Self { path, fd: self.fd.try_clone()? }),
        }
    }

    /// Opens a regular file in it, not through a link; `None` if there is none.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<std::fs::File>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        match open_at(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::MLINK) => Err(io::Error::other("is a symbolic link where a file is due")),
            Err(error) => Err(error.into()),
            Ok(fd) => {
                let file = std::fs::File::from(fd);
                if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(io::Error::other("is no regular file")) }
            }
        }
    }

    /// Whether there is anything of this name in it.
    pub(super) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Pushes the components of `path`, the first one last.
    fn push(&self, ahead: &mut Vec<OsString>, path: &Path) -> Result<(), WalkError> {
        let length = |name: &OsStr| name.as_bytes().len() + 1;
        if ahead.iter().map(|name| length(name)).sum::<usize>() + length(path.as_os_str()) > MAX_PATH {
            return Err(io::Error::from(Errno::NAMETOOLONG).into());
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => ahead.push(name.to_owned()),
                Component::ParentDir => ahead.push("..".into()),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return Err(self.out()),
            }
        }
        Ok(())
    }

    fn out(&self) -> WalkError {
        WalkError::Out(self.path.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_walked_and_never_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join("l")).unwrap();
        fs::create_dir(root.parent().unwrap().join("secret")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        for (link, target) in [
            ("l/good", "../a/b"),
            ("l/chain", "good/../../l/good/."),
            ("l/up", "../.."),
            ("l/secret", "../../secret"),
            ("l/back", "../../root/a"),
            ("l/absolute", "/"),
            ("l/loop", "loop"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let beneath = Beneath::open(&root).unwrap();
        for good in ["a/b", "./a//b/", "a/../a/b", "l/good", "l/chain"] {
            assert_eq!(beneath.directory(Path::new(good)).unwrap().path(), root.join("a/b"), "{good}");
        }
        assert_eq!(beneath.directory(Path::new("a/..")).unwrap().path(), root);
        for out in ["..", "a/../..", "/", "/etc", "l/up", "l/secret", "l/back", "l/absolute", "../root/a"] {
            assert!(matches!(beneath.directory(Path::new(out)), Err(WalkError::Out(_))), "{out}");
        }
        let said = |path: &str| match beneath.directory(Path::new(path)).unwrap_err() {
            WalkError::Io(error) => error.kind(),
            WalkError::Out(_) => panic!("{path}"),
        };
        assert_eq!(said("a/none"), io::ErrorKind::NotFound);
        assert_eq!(said("file"), io::ErrorKind::NotADirectory);
        assert_eq!(said("file/.."), io::ErrorKind::NotADirectory);
        assert_eq!(
            beneath.directory(Path::new("l/loop")).unwrap_err().to_string(),
            io::Error::from(Errno::LOOP).to_string()
        );
    }
}
