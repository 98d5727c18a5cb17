//! File locks, which end with the process that holds them, however it ends.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Takes an exclusive lock on `file` until it is closed; `false` if somebody else holds a lock. Never waits.
///
/// # Errors
/// When the file system does not support locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockExclusive)
}

/// Takes a shared lock on `file` until it is closed; `false` if somebody else holds an exclusive one. Never waits.
///
/// # Errors
/// When the file system does not support locks.
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
