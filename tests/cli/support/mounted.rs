//! File systems and devices that fail when a test wants them to.

use std::path::{Path, PathBuf};

use super::filter::Filter;
use super::mount::unmount_at_last;
use super::oracle::tool;
use super::tools;

/// A tmpfs of a given size. Dropping it unmounts it.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one at `point`, with these options (`size=64k`).
    #[track_caller]
    pub fn at(point: &Path, options: &str) -> Self {
        tools::needs_root("mount small file systems");
        std::fs::create_dir_all(point).expect("mount point");
        let args = ["-t", "tmpfs", "-o", options, "none"].map(AsRef::as_ref).into_iter().chain([point.as_os_str()]);
        tool("mount", args);
        Self(point.to_owned())
    }

    /// Gives it other options: more room, or `ro`.
    #[track_caller]
    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        tool("mount", ["-o".as_ref(), options.as_ref(), self.0.as_os_str()]);
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount_at_last(&self.0);
    }
}

/// A loop device over a file; detached when dropped.
pub struct LoopDevice(String);

impl LoopDevice {
    #[track_caller]
    pub fn over(file: &Path) -> Self {
        tools::needs_root("set up loop devices");
        Self(tool("losetup", ["--find".as_ref(), "--show".as_ref(), file.as_os_str()]).text().trim().to_owned())
    }

    /// Holds `bytes`, of which those from `good` on cannot be read (EIO): the file behind it was cut after the device had
    /// learnt its size. A device-mapper error target without device-mapper, which not every kernel has.
    #[track_caller]
    pub fn broken_behind(file: &Path, bytes: &[u8], good: u64) -> Self {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        std::fs::write(file, bytes).expect("the file behind the device");
        let device = Self::over(file);
        std::fs::File::options().write(true).open(file).and_then(|file| file.set_len(good)).expect("cut");
        // What was read when the device was made is forgotten.
        tool("blockdev", ["--flushbufs", &device.0]);
        device
    }

    /// `/dev/loopN`.
    pub fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Filter::tool("losetup").args(["-d", &self.0]).run();
    }
}
