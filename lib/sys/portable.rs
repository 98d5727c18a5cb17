//! The portable implementation, with what every Unix has; anything else is refused or left to the caller.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

/// Leaves pipes as they are.
pub fn widen_pipe(_: impl AsFd, _: usize) {}

/// Moves no bytes within the kernel.
///
/// # Errors
/// Always [`io::ErrorKind::Unsupported`]: the caller reads and writes.
pub fn send(_: BorrowedFd<'_>, _: &File, _: &mut u64, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fills `bytes`.
///
/// # Errors
/// When there is no /dev/urandom.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}

/// Unnamed files are not supported.
pub(super) fn unnamed(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// Never called: [`unnamed`] makes no such file.
pub(super) fn link_unnamed(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not supported: the caller writes zeros.
pub(super) fn punch(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not supported: the caller writes zeros.
pub(super) fn zero(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Other systems may support this in lseek(2); on Linux, this imitates those that do not.
pub(super) const SEEKS_HOLES: bool = !cfg!(target_os = "linux");

/// Devices are supported on Linux only.
pub(super) fn open_device(_: &Path) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "block devices are written on Linux only"))
}

/// There is no single call for this.
pub(super) fn open_beneath(_: BorrowedFd<'_>, _: &[u8], _: OFlags) -> io::Result<Option<File>> {
    Ok(None)
}

/// There are no descriptors without opening.
pub(super) fn open_node(_: BorrowedFd<'_>, _: &OsStr) -> io::Result<Option<File>> {
    Ok(None)
}

/// Nobody else can open what has no name yet.
#[must_use]
pub fn path_of_open(_: &File) -> Option<PathBuf> {
    None
}

/// Descriptors have no paths.
pub(super) fn path_of(_: &File) -> Option<PathBuf> {
    None
}

/// Never constructed: writes cannot be noticed.
#[derive(Debug)]
pub(super) enum OsWatch {}

impl OsWatch {
    /// Always [`io::ErrorKind::Unsupported`].
    pub(super) fn new(_: &File) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn wait(&self, _: Duration) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn wake(&self) {
        match *self {}
    }
}
