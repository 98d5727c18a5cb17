//! Locks that end with the process that holds them, however it ends.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Locks `file`, alone, until it is closed; `false` when somebody else holds the lock. Never waits.
///
/// # Errors
/// Where the file system has no locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockExclusive)
}

/// Locks `file` together with all who do the same, until it is closed; `false` when somebody has it alone. Never waits.
///
/// # Errors
/// Where the file system has no locks.
pub fn try_lock_shared(file: &File) -> io::Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockShared)
}

fn attempt(file: &File, operation: FlockOperation) -> io::Result<bool> {
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
