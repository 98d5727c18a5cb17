//! Ext4 images and overlays as the kernel shows them.

use std::fs;
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
        unmount(&self.point);
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        unmount_at_last(&self.point);
    }
}

/// An overlay of directories. Dropping it unmounts it.
pub struct Overlay(PathBuf);

impl Overlay {
    /// Mounts layers, bottom first, below `dir`.
    #[track_caller]
    pub fn mount(dir: &Path, lower: &[impl AsRef<Path>], upper: Option<&Path>, options: &str) -> Self {
        let (point, work) = (dir.join("mount"), dir.join("work"));
        fs::create_dir_all(&point).expect("mount point");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).expect("work directory");
        let lower: Vec<String> = lower.iter().rev().map(|layer| layer.as_ref().display().to_string()).collect();
        let mut options = format!("lowerdir={},{options}", lower.join(":"));
        if let Some(upper) = upper {
            options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        }
        Filter::tool("mount").args(["-t", "overlay", "overlay", "-o"]).arg(options).arg(&point).run().succeeds();
        Self(point)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Unmounts it now, failing the test when the kernel will not.
    #[track_caller]
    pub fn unmount(self) {
        unmount(&self.0);
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        unmount_at_last(&self.0);
    }
}

#[track_caller]
fn unmount(point: &Path) {
    // A process that another test is just starting has our open files too, until it executes its program.
    let unmount = || Filter::tool("umount").arg(point).run();
    for _ in 0..100 {
        if unmount().status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    unmount().succeeds();
}

/// Unmounts what may be unmounted already, lazily when it is busy: nothing of a test stays behind.
pub(super) fn unmount_at_last(point: &Path) {
    if !Filter::new("umount").arg(point).run().status.success() {
        let _ = Filter::new("umount").arg("-l").arg(point).run();
    }
}
