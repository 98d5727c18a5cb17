//! UUID and hash seed derived from the content, for reproducible images (S6).
//!
//! The hash covers the tree as the image shows it, in the order of names, not the archive: dialect, compression, the order
//! of members and overwritten members make no difference.

use sha2::{Digest, Sha256};

use super::content_hash::ContentDigest;
use crate::ext4::{BlockNumber, FileData, FileTree, InodeRef};
use crate::meta::NodeKind;

/// The digests of all files that have data, by the first block of that data in the image.
///
/// No two files share a block, so the tree need not store the digests. A file without data is known by its size alone.
#[derive(Debug, Default)]
pub(super) struct Digests(Vec<(BlockNumber, ContentDigest)>);

impl Digests {
    /// Remembers a file's digest. Files are added in the order of their blocks.
    pub(super) fn add(&mut self, data: &FileData, digest: ContentDigest) {
        if let Some(first) = data.extents().first() {
            self.0.push((first.start, digest));
        }
    }

    fn get(&self, data: &FileData) -> Option<&ContentDigest> {
        let first = data.extents().first()?;
        let at = self.0.binary_search_by_key(&first.start, |(start, _)| *start).ok()?;
        Some(&self.0[at].1)
    }
}

/// UUID (version 8, RFC 9562) and hash seed of a tree.
pub(super) fn derive(tree: &impl FileTree, digests: &Digests) -> ([u8; 16], [u8; 16]) {
    let mut sha = Sha256::new_with_prefix(b"tar2ext4 content 1\n");
    // The number that each inode got at its first name; 0 before that.
    let mut numbers = vec![0_u32; tree.inodes() as usize];
    let mut next = 1_u32;
    put_inode(&mut sha, tree.inode(tree.root()), digests);
    let mut directories = vec![tree.root()];
    while let Some(directory) = directories.pop() {
        for (name, id) in tree.children(directory) {
            put_bytes(&mut sha, name);
            let number = &mut numbers[id as usize];
            if *number > 0 {
                sha.update(number.to_le_bytes());
                continue;
            }
            *number = next;
            next += 1;
            sha.update([0; 4]);
            let inode = tree.inode(id);
            put_inode(&mut sha, inode, digests);
            if matches!(inode.kind, NodeKind::Directory) {
                directories.push(id);
            }
        }
        // No name is that long.
        sha.update(u64::MAX.to_le_bytes());
    }
    let digest: [u8; 32] = sha.finalize().into();
    let (mut uuid, mut seed) = ([0; 16], [0; 16]);
    uuid.copy_from_slice(&digest[..16]);
    seed.copy_from_slice(&digest[16..]);
    (uuid::Builder::from_custom_bytes(uuid).into_uuid().into_bytes(), seed)
}

fn put_bytes(sha: &mut Sha256, bytes: &[u8]) {
    sha.update((bytes.len() as u64).to_le_bytes());
    sha.update(bytes);
}

fn put_inode(sha: &mut Sha256, inode: InodeRef<'_>, digests: &Digests) {
    let meta = inode.meta;
    sha.update(meta.mode.to_le_bytes());
    sha.update(meta.uid.to_le_bytes());
    sha.update(meta.gid.to_le_bytes());
    sha.update(meta.mtime.secs.to_le_bytes());
    sha.update(meta.mtime.nanos.to_le_bytes());
    sha.update((inode.xattrs.iter().count() as u64).to_le_bytes());
    for xattr in inode.xattrs.iter() {
        put_bytes(sha, xattr.name);
        put_bytes(sha, xattr.value);
    }
    match inode.kind {
        NodeKind::Directory => sha.update(b"d"),
        NodeKind::Fifo => sha.update(b"p"),
        NodeKind::Symlink(target) => {
            sha.update(b"l");
            put_bytes(sha, target);
        }
        NodeKind::CharDevice(device) | NodeKind::BlockDevice(device) => {
            sha.update(if matches!(inode.kind, NodeKind::CharDevice(_)) { b"c" } else { b"b" });
            sha.update(device.major.to_le_bytes());
            sha.update(device.minor.to_le_bytes());
        }
        NodeKind::File(data) => {
            sha.update(b"-");
            sha.update(data.size().to_le_bytes());
            sha.update(digests.get(data).unwrap_or(&[0; 32]));
        }
    }
}
