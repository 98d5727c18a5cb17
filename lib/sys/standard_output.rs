use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;

/// The metadata of standard output; `None` if the system does not tell.
#[must_use]
pub fn standard_output() -> Option<Metadata> {
    let stdout = io::stdout().as_fd().try_clone_to_owned().ok()?;
    File::from(stdout).metadata().ok()
}
