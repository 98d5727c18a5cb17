//! Opens files, and tries again if a signal interrupts a slow file system.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Result, retry_on_intr};
use rustix::path::Arg;

use super::open_flags;

/// Opens `path` for reading, whatever it is: without waiting for the writer of a FIFO, and without making a terminal ours.
///
/// # Errors
/// As the system reports them, except interruptions.
pub fn open_to_read(path: impl AsRef<Path>) -> io::Result<File> {
    read_with(OFlags::empty(), path.as_ref())
}

/// Like [`open_to_read`], but fails if `path` is a symbolic link.
///
/// # Errors
/// As [`open_to_read`].
pub fn open_no_link(path: impl AsRef<Path>) -> io::Result<File> {
    read_with(OFlags::NOFOLLOW, path.as_ref())
}

fn read_with(flags: OFlags, path: &Path) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(open_flags(flags)).open(path)
}

/// Opens the directory at `path`.
///
/// # Errors
/// As the system reports them, except interruptions.
pub fn open_directory(path: impl Arg + Copy) -> Result<OwnedFd> {
    open_at(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens `path` relative to `directory`, as openat(2) does.
///
/// # Errors
/// As the system reports them, except interruptions.
pub fn open_at(directory: impl AsFd, path: impl Arg + Copy, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    retry_on_intr(|| openat(directory.as_fd(), path, flags, mode))
}
