//! Output names that are symbolic links.
//!
//! They are followed as a shell's `>` would, even to a file that does not exist yet, except for links that another user
//! planted in a world-writable sticky directory such as /tmp. Where fs.protected_symlinks is set, as it is in every
//! distribution, the kernel would refuse those too; it gets no chance to, because we read the link and replace its
//! target.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The longest chain of links, as in the kernel.
const LINKS: usize = 40;

/// Follows `target` while it is a symbolic link.
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

/// Whether another user may have planted `found` in `directory`: the rule of fs.protected_symlinks (proc_sys_fs(5)).
pub(super) fn is_planted(found: &Metadata, directory: &Path) -> io::Result<bool> {
    const STICKY_FOR_ALL: u32 = 0o1002;
    let directory = fs::metadata(directory)?;
    let open_to_all = directory.mode() & STICKY_FOR_ALL == STICKY_FOR_ALL;
    Ok(open_to_all && found.uid() != rustix::process::geteuid().as_raw() && found.uid() != directory.uid())
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
