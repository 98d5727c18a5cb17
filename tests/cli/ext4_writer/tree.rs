//! A tree in memory, and a file for its image.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use crate::support::{e2fsck_clean, scratch};
use oci2ext4::ext4::{FileData, FileTree, FreshFile, Identity, ImageWriter, InodeRef, Options, Report};
use oci2ext4::meta::{Metadata, NodeKind, Timestamp, Xattrs};

pub(super) const IDENTITY: Identity = Identity {
    uuid: *b"\x8e\x5f\x1c\x0a\x77\x21\x4b\x9e\xa2\x13\x55\x90\xd4\x4f\x6b\x01",
    hash_seed: *b"\x31\x41\x59\x26\x53\x58\x49\x79\x93\x23\x84\x62\x64\x33\x83\x27",
    now: Timestamp { secs: 1_700_000_000, nanos: 0 },
    last_write: Timestamp { secs: 1_700_000_000, nanos: 0 },
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
        Self { directory: scratch() }
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
        e2fsck_clean(self.path());
    }
}
