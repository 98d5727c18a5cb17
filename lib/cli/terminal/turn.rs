//! Which filter of a pipeline draws: the one that holds the lock on the terminal's device file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::sys::{is_pipe, open_to_read, try_lock};

/// The right to draw; dropping it passes it on.
///
/// The lock is advisory and ends with the process. It needs an open file of its own: all filters share the one that the
/// shell opened, and would share its lock.
#[derive(Debug)]
pub(super) struct Turn(#[allow(dead_code, reason = "held, not used")] Option<File>);

impl Turn {
    /// Takes the turn if nobody has it; never waits.
    ///
    /// If the device file cannot be opened (after su(1) it belongs to somebody else, in a container it may be missing),
    /// nothing is known of the other filters. Then the first of the pipeline draws, the one whose input is not a pipe.
    pub(super) fn take() -> Option<Self> {
        match open().and_then(|file| try_lock(&file).map(|locked| locked.then_some(file))) {
            Ok(locked) => locked.map(|file| Self(Some(file))),
            Err(_) => (!is_pipe(io::stdin())).then_some(Self(None)),
        }
    }
}

/// Opens the terminal behind standard error once more.
fn open() -> io::Result<File> {
    let path = rustix::termios::ttyname(io::stderr(), Vec::new())?;
    open_to_read(OsStr::from_bytes(path.as_bytes()))
}
