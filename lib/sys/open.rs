//! Opens files, and tries again if a signal interrupts a slow file system.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Result, retry_on_intr};
use rustix::path::Arg;

/// Opens `path`, as open(2) does.
///
/// # Errors
/// As the system reports them, except interruptions.
pub fn open(path: impl Arg + Copy, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    open_at(CWD, path, flags, mode)
}

/// Opens `path` relative to `directory`, as openat(2) does.
///
/// # Errors
/// As the system reports them, except interruptions.
pub fn open_at(directory: impl AsFd, path: impl Arg + Copy, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    retry_on_intr(|| openat(directory.as_fd(), path, flags, mode))
}
