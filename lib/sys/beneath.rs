//! Opens files below a directory without following symbolic links, so that others who may write there cannot redirect us.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::open::open_at;
use super::os;

/// The longest path that a system call takes on Linux: `PATH_MAX` without its NUL.
const LONGEST: usize = 4095;

/// Opens the file or directory at `path` below `root` for reading, without waiting for the writer of a FIFO. An empty path
/// is the root itself; a long one may exceed `PATH_MAX`.
///
/// # Errors
/// When a component of `path` is a symbolic link or `..`; others as the system reports them.
pub fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut rest = if path.is_empty() { b"." } else { path };
    let mut directory: Option<File> = None;
    loop {
        let at = directory.as_ref().map_or(root, AsFd::as_fd);
        let start = rest.get(..LONGEST).filter(|start| start.len() < rest.len()).unwrap_or_default();
        let Some(slash) = start.iter().rposition(|byte| *byte == b'/') else { return at_once(at, rest, flags) };
        directory = Some(at_once(at, &rest[..slash], flags | OFlags::DIRECTORY)?);
        rest = &rest[slash + 1..];
    }
}

fn at_once(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<File> {
    match os::open_beneath(root, path, flags)? {
        Some(file) => Ok(file),
        None => by_component(root, path, flags),
    }
}

/// The portable way: one component after the other.
fn by_component(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<File> {
    let mut components = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
    let mut directory: Option<OwnedFd> = None;
    while let Some(name) = components.next() {
        if name == b".." {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "leads out of its directory"));
        }
        let at = directory.as_ref().map_or(root, AsFd::as_fd);
        let last = components.peek().is_none();
        // As for the system, what a slash follows is a directory.
        let flags = if last && !path.ends_with(b"/") { flags } else { flags | OFlags::DIRECTORY };
        let opened = open_at(at, name, flags, Mode::empty())?;
        if last {
            return Ok(opened.into());
        }
        directory = Some(opened);
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::fs;
    use std::io::Read;

    use super::*;

    #[test]
    fn paths_may_be_longer_than_one_call_takes() {
        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(200);
        let (deep, next) = (dir.path().join("deep"), dir.path().join("next"));
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("file"), "in").unwrap();
        std::os::unix::fs::symlink(".", deep.join("link")).unwrap();
        for _ in 0..50 {
            fs::create_dir(&next).unwrap();
            fs::rename(&deep, next.join(&name)).unwrap();
            fs::rename(&next, &deep).unwrap();
        }
        let root = File::open(&deep).unwrap();
        let path = |last: &str| format!("{}{last}", format!("{name}/").repeat(50));
        let mut text = String::new();
        open_beneath(root.as_fd(), path("file").as_bytes()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "in");
        for last in ["link/file", "nothing", "file/"] {
            assert!(open_beneath(root.as_fd(), path(last).as_bytes()).is_err(), "{last}");
        }
    }

    #[test]
    fn no_symbolic_link_is_followed_and_nothing_outside_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(inside.join("a/b/file"), "in").unwrap();
        fs::write(outside.join("file"), "out").unwrap();
        std::os::unix::fs::symlink("../outside", inside.join("way")).unwrap();
        std::os::unix::fs::symlink("b/file", inside.join("a/link")).unwrap();
        let root = File::open(&inside).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for at_once in [true, false] {
            let open = |path: &[u8]| {
                if at_once { open_beneath(root.as_fd(), path) } else { by_component(root.as_fd(), path, flags) }
            };
            let mut text = String::new();
            open(b"a/b/file").unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "in");
            assert!(open(b".").unwrap().metadata().unwrap().is_dir());
            for path in [&b"way/file"[..], b"a/link", b"../outside/file", b"a/../../outside/file", b"a/nothing"] {
                assert!(open(path).is_err(), "{}", path.escape_ascii());
            }
        }
    }
}
