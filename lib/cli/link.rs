//! Symbolic links at the end of an output's name.
//!
//! They are followed as by a shell's `>`, also to a file that is not there yet; but not those that a stranger put into a
//! directory where anyone may leave one, such as /tmp. The kernel does not follow these either where
//! fs.protected_symlinks is set, as in every distribution; it is not asked here, because the link is read and its
//! target replaced.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Links in a row, as many as the kernel follows.
const LINKS: usize = 40;

/// `target` with a symbolic link at its end followed.
pub(super) fn resolve(target: &Path) -> io::Result<PathBuf> {
    let mut path = target.to_path_buf();
    for _ in 0..LINKS {
        let Ok(link) = fs::symlink_metadata(&path) else { return Ok(path) };
        if !link.is_symlink() {
            return Ok(path);
        }
        let directory = parent(&path);
        if is_planted(&link, directory)? {
            let text = format!(
                "it is a link of another user ({}) in {}, where anyone may leave one: it is not followed",
                link.uid(),
                directory.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let leads_to = fs::read_link(&path)?;
        let again = fs::symlink_metadata(&path)?;
        let id = |meta: &Metadata| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec());
        if id(&again) != id(&link) {
            return Err(io::Error::other("the link changes while it is followed"));
        }
        path = directory.join(leads_to);
    }
    Err(Errno::LOOP.into())
}

/// Whether a stranger may have put what stands in `directory` there: the rule of fs.protected_symlinks (proc_sys_fs(5)).
pub(super) fn is_planted(found: &Metadata, directory: &Path) -> io::Result<bool> {
    const STICKY_FOR_ALL: u32 = 0o1002;
    let directory = fs::metadata(directory)?;
    let open_to_all = directory.mode() & STICKY_FOR_ALL == STICKY_FOR_ALL;
    Ok(open_to_all && found.uid() != rustix::process::geteuid().as_raw() && found.uid() != directory.uid())
}

/// The directory that `path` stands in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
