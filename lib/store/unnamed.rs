//! Files that have no name until they are whole, so that a kill leaves nothing behind.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// A file without a name; with one where the file system does not know `O_TMPFILE`, or where /proc is missing, by which
/// alone it could get one later.
#[derive(Debug)]
pub(super) struct Unnamed {
    pub(super) file: File,
    temporary: Option<tempfile::TempPath>,
}

impl Unnamed {
    /// A new file on the file system of `dir`.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        match rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from(0o666)) {
            Ok(fd) if Path::new(&by_descriptor(&fd)).exists() => Ok(Self { file: File::from(fd), temporary: None }),
            Ok(_) | Err(_) => {
                let mut builder = tempfile::Builder::new();
                let permissions = fs::Permissions::from_mode(0o666);
                let named = builder.prefix("import.").permissions(permissions).tempfile_in(dir)?;
                let (file, path) = named.into_parts();
                Ok(Self { file, temporary: Some(path) })
            }
        }
    }

    /// Gives it the name `path`, instead of what has that name. A link cannot replace a file, so where there is one the
    /// way goes over the name `aside`, which must be the caller's alone.
    pub(super) fn place(self, path: &Path, aside: &Path) -> io::Result<()> {
        if let Some(temporary) = self.temporary {
            return temporary.persist(path).map_err(|e| e.error);
        }
        let by_descriptor = by_descriptor(&self.file);
        let link_to = |to: &Path| rustix::fs::linkat(CWD, &by_descriptor, CWD, to, AtFlags::SYMLINK_FOLLOW);
        match link_to(path) {
            Err(rustix::io::Errno::EXIST) => {}
            other => return Ok(other?),
        }
        // One that was killed between the next two steps may have left it.
        let _ = fs::remove_file(aside);
        link_to(aside)?;
        fs::rename(aside, path).inspect_err(|_| drop(fs::remove_file(aside)))
    }
}

/// The name that an open file has as long as it is open.
fn by_descriptor(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_takes_the_place_of_another_and_leaves_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("file"), dir.path().join("aside"));
        for text in ["first", "second"] {
            // As one that was killed would leave it.
            fs::write(&aside, "stale").unwrap();
            let mut unnamed = Unnamed::new(dir.path()).unwrap();
            unnamed.file.write_all(text.as_bytes()).unwrap();
            unnamed.place(&path, &aside).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(!aside.exists());
        fs::create_dir(dir.path().join("directory")).unwrap();
        let refused = Unnamed::new(dir.path()).unwrap().place(&dir.path().join("directory"), &aside);
        assert!(refused.is_err() && !aside.exists());
    }
}
