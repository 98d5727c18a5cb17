//! A tree in memory, and the tools that judge an image.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ext4::{FileData, FileTree, FreshFile, Identity, ImageWriter, InodeRef, Options, Report};
use crate::meta::{Metadata, NodeKind, Timestamp, Xattrs};

pub(super) const IDENTITY: Identity = Identity {
    uuid: *b"\x8e\x5f\x1c\x0a\x77\x21\x4b\x9e\xa2\x13\x55\x90\xd4\x4f\x6b\x01",
    hash_seed: *b"\x31\x41\x59\x26\x53\x58\x49\x79\x93\x23\x84\x62\x64\x33\x83\x27",
    now: Timestamp { secs: 1_700_000_000, nanos: 0 },
};

/// A tree that is built by calls.
pub(super) struct TestTree {
    inodes: Vec<(Metadata, Xattrs, NodeKind<FileData>)>,
    children: Vec<Vec<(Vec<u8>, u32)>>,
}

impl TestTree {
    pub(super) fn new() -> Self {
        let root = (Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, NodeKind::Directory);
        Self { inodes: vec![root], children: vec![Vec::new()] }
    }

    pub(super) fn add(&mut self, parent: u32, name: impl AsRef<[u8]>, kind: NodeKind<FileData>) -> u32 {
        let id = u32::try_from(self.inodes.len()).unwrap();
        let mode = if matches!(kind, NodeKind::Directory) { 0o755 } else { 0o644 };
        let meta = Metadata { mode, uid: 0, gid: 0, mtime: Timestamp::from_secs(1_600_000_000) };
        self.inodes.push((meta, Xattrs::NONE, kind));
        self.children.push(Vec::new());
        self.link(parent, name, id);
        id
    }

    pub(super) fn link(&mut self, parent: u32, name: impl AsRef<[u8]>, id: u32) {
        self.children[parent as usize].push((name.as_ref().to_vec(), id));
    }

    pub(super) fn dir(&mut self, parent: u32, name: impl AsRef<[u8]>) -> u32 {
        self.add(parent, name, NodeKind::Directory)
    }

    pub(super) fn meta(&mut self, id: u32) -> &mut Metadata {
        &mut self.inodes[id as usize].0
    }

    pub(super) fn xattrs(&mut self, id: u32, xattrs: Xattrs) {
        self.inodes[id as usize].1 = xattrs;
    }
}

impl FileTree for TestTree {
    fn inodes(&self) -> u32 {
        u32::try_from(self.inodes.len()).unwrap()
    }

    fn root(&self) -> u32 {
        0
    }

    fn inode(&self, id: u32) -> InodeRef<'_> {
        let (meta, xattrs, kind) = &self.inodes[id as usize];
        InodeRef { meta, xattrs, kind }
    }

    fn children(&self, id: u32) -> impl Iterator<Item = (&[u8], u32)> {
        self.children[id as usize].iter().map(|(name, id)| (&name[..], *id))
    }
}

/// An image file in a directory of its own, removed in the end.
pub(super) struct Image {
    directory: tempfile::TempDir,
}

impl Image {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(super) fn create(&self) -> FreshFile {
        let mut options = OpenOptions::new();
        FreshFile(options.create(true).truncate(true).read(true).write(true).open(self.path()).unwrap())
    }

    pub(super) fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).open(self.path()).unwrap()
    }

    pub(super) fn writer(&self, options: &Options) -> ImageWriter<FreshFile> {
        ImageWriter::new(self.create(), options).unwrap()
    }

    /// Writes `tree`, whose files are empty or holes, and judges the image.
    pub(super) fn write(&self, options: &Options, tree: &TestTree) -> Report {
        let report = self.writer(options).finish(tree, &IDENTITY).unwrap();
        self.fsck();
        report
    }

    /// `e2fsck` has nothing to say.
    pub(super) fn fsck(&self) {
        fsck(&self.path());
    }
}

/// Runs `e2fsck -fn`; fails when it complains. Has ext4-view, which verifies checksums too, read directories and inodes
/// (some thousands: it is slow); fails when it cannot.
pub(super) fn fsck(image: &Path) {
    e2fsck(image);
    let view = ext4_view::Ext4::load(Box::new(Reading(File::open(image).unwrap()))).unwrap();
    let mut left = vec![ext4_view::PathBuf::new("/")];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        for entry in view.read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            seen += 1;
            if seen > 5000 {
                return;
            }
            if entry.file_type().unwrap().is_dir() && entry.file_name() != "." && entry.file_name() != ".." {
                left.push(entry.path());
            }
            entry.metadata().unwrap();
        }
    }
}

struct Reading(File);

impl ext4_view::Ext4Read for Reading {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(std::os::unix::fs::FileExt::read_exact_at(&self.0, into, start)?)
    }
}

/// Runs `e2fsck -fn`; fails when it complains.
pub(super) fn e2fsck(image: &Path) {
    let output = Command::new("e2fsck").arg("-fn").arg(image).output().expect("e2fsck must be installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let expected = |line: &str| {
        line.starts_with("e2fsck 1.") || line.starts_with("Pass ") || line.contains(" files (") || line.is_empty()
    };
    let complaint = said.lines().find(|line| !expected(line));
    assert!(output.status.success() && complaint.is_none(), "e2fsck -fn: {}\n{said}", output.status);
}

/// Runs a tool that must succeed; gives what it printed on stdout.
pub(super) fn run(program: &str, args: &[&str], image: &Path) -> String {
    let output = Command::new(program).args(args).arg(image).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An image mounted through a loop device, read-write; unmounted in the end. Needs root.
pub(super) struct Mount {
    directory: tempfile::TempDir,
}

impl Mount {
    pub(super) fn read_write(image: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().to_str().unwrap();
        let image = image.to_str().unwrap();
        let output = Command::new("mount").args(["-t", "ext4", "-o", "loop", image, target]).output().unwrap();
        assert!(output.status.success(), "mount (as root?): {}", String::from_utf8_lossy(&output.stderr));
        Self { directory }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that another test is just starting has our open files too, until it executes its program.
        let unmounted = || {
            let done = Command::new("umount").arg(self.directory.path()).status();
            done.is_ok_and(|status| status.success())
        };
        let wait = || std::thread::sleep(std::time::Duration::from_millis(100));
        let done = unmounted()
            || (0..50).any(|_| {
                wait();
                unmounted()
            });
        assert!(done || std::thread::panicking(), "umount");
    }
}
