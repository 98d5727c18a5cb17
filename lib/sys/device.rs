//! Devices.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::os;

/// Opens a block device, which nobody else may be using, and tells its size in bytes.
///
/// # Errors
/// When it is in use or cannot be opened; always where this system's devices are not known.
pub fn open_device(path: &Path) -> io::Result<(File, u64)> {
    let mut device = os::open_device(path)?;
    let size = device.seek(SeekFrom::End(0))?;
    device.rewind()?;
    Ok((device, size))
}

/// Major and minor number in what stat(2) calls `st_rdev`, which is as wide as it is only on Linux.
#[must_use]
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, reason = "the type is the system's")]
pub fn device_numbers(rdev: u64) -> (u32, u32) {
    let rdev = rdev as rustix::fs::Dev;
    (rustix::fs::major(rdev), rustix::fs::minor(rdev))
}
