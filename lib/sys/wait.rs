//! Waiting for a descriptor that somebody made non-blocking.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Waits until `fd` takes bytes again.
///
/// # Errors
/// As the system reports them.
pub fn wait_until_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    wait_until(fd, PollFlags::OUT)
}

/// Waits for one of these events, or for the end of the other side.
pub(super) fn wait_until(fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::from_borrowed_fd(fd, events)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
