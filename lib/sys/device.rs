//! Block devices and device numbers.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::os;

/// Opens a block device that nobody else is using, and returns its size in bytes.
///
/// # Errors
/// When it is in use or cannot be opened; always on systems other than Linux.
pub fn open_device(path: &Path) -> io::Result<(File, u64)> {
    let mut device = os::open_device(path)?;
    let size = device.seek(SeekFrom::End(0))?;
    device.rewind()?;
    Ok((device, size))
}

/// Major and minor number of a stat(2) `st_rdev`, which is 64 bits wide only on Linux.
#[must_use]
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, reason = "the type is the system's")]
pub fn device_numbers(rdev: u64) -> (u32, u32) {
    let rdev = rdev as rustix::fs::Dev;
    (rustix::fs::major(rdev), rustix::fs::minor(rdev))
}
