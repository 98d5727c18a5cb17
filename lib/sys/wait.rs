//! Waits for descriptors that somebody made non-blocking.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Waits until `fd` can be written to.
///
/// # Errors
/// As the system reports them.
pub fn wait_until_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    wait_until(fd, PollFlags::OUT)
}

/// Waits for one of these events, or until the other side is closed.
pub(super) fn wait_until(fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    wait_at_most(fd, events, None).map(|_| ())
}

/// Like [`wait_until`], but with a time limit; `false` when the time is up. A signal may end it sooner.
pub(super) fn wait_at_most(fd: BorrowedFd<'_>, events: PollFlags, limit: Option<Duration>) -> io::Result<bool> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(&mut [PollFd::from_borrowed_fd(fd, events)], limit.as_ref()) {
        Ok(found) => Ok(found > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
