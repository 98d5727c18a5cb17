//! An ext4 image as the kernel shows it.

use std::path::{Path, PathBuf};

use super::filter::Filter;
use super::tools;

/// A loop-mounted image. Dropping it unmounts it.
pub struct LoopMount {
    point: PathBuf,
    _directory: tempfile::TempDir,
}

impl LoopMount {
    /// Mounts `image` read-only, which does not even replay a journal into it.
    #[track_caller]
    pub fn read_only(image: impl AsRef<Path>) -> Self {
        Self::with_options(image.as_ref(), "loop,ro,noatime")
    }

    /// Mounts `image` for writing.
    #[track_caller]
    pub fn read_write(image: impl AsRef<Path>) -> Self {
        Self::with_options(image.as_ref(), "loop,rw,noatime")
    }

    /// Mounts `image` with these `mount -o` options.
    #[track_caller]
    pub fn with_options(image: &Path, options: &str) -> Self {
        tools::needs_root("mount images");
        let directory = tempfile::Builder::new().prefix("oci2ext4-mount-").tempdir().expect("mount point");
        let point = directory.path().to_owned();
        let mount = Filter::tool("mount").args(["-t", "ext4", "-o", options]).arg(image).arg(&point).run();
        assert!(mount.status.success(), "the kernel refuses {}\n{}", image.display(), mount.report());
        Self { point, _directory: directory }
    }

    /// Where the root of the file system is.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Unmounts it now, failing the test when the kernel will not.
    #[track_caller]
    pub fn unmount(self) {
        // A process that another test is just starting has our open files too, until it executes its program.
        let unmount = || Filter::tool("umount").arg(&self.point).run();
        for _ in 0..50 {
            if unmount().status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        unmount().succeeds();
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        // Already unmounted, or busy for a moment: a lazy unmount leaves nothing behind in either case.
        let umount = Filter::new("umount").arg(&self.point).run();
        if !umount.status.success() {
            let _ = Filter::new("umount").arg("-l").arg(&self.point).run();
        }
    }
}
