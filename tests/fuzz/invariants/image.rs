//! An ext4 image in memory, and what e2fsck and ext4-view say of it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::process::Command;

use ext4_view::{Ext4, Ext4Read};
use oci2ext4::ext4::FreshFile;

pub struct Image(File);

impl Image {
    pub fn new() -> Self {
        let file = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd_create");
        Self(file.into())
    }

    pub fn target(&self) -> FreshFile {
        FreshFile(self.0.try_clone().expect("one more descriptor"))
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.0.metadata().expect("a file").len()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size() as usize];
        self.0.read_exact_at(&mut bytes, 0).expect("memory");
        bytes
    }

    /// `e2fsck -fn` has nothing to say.
    pub fn e2fsck(&self) {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        let ran = Command::new("e2fsck").arg("-fn").arg(&path).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
        let ran = ran.expect("e2fsck must be installed: tests/setup e2fsprogs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        let expected = |line: &str| {
            line.is_empty() || line.starts_with("Pass ") || line.contains(" files (") || line.starts_with("e2fsck 1.")
        };
        assert!(ran.status.success() && said.lines().all(expected), "e2fsck -fn: {}\n{said}", ran.status);
    }

    /// As another implementation reads it.
    pub fn view(&self) -> Ext4 {
        Ext4::load(Box::new(Reading(self.target().0))).expect("ext4-view reads it")
    }
}

struct Reading(File);

impl Ext4Read for Reading {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.read_exact_at(into, start)?)
    }
}
