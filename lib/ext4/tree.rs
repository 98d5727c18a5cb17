//! What the writer wants to know of a tree.

use super::layout::file_data::FileData;
use crate::meta::{Metadata, NodeKind, Xattrs};

/// The tree that becomes an image. An adapter implements it; the writer reads it several times, in any order.
///
/// Inodes have dense ids below [`inodes`](Self::inodes). Every inode except the root has at least one name; a
/// directory has exactly one, so that the directories form a tree below the root.
pub trait FileTree {
    /// Number of inodes.
    fn inodes(&self) -> u32;

    /// The root directory.
    fn root(&self) -> u32;

    /// An inode's attributes. `id` is below [`inodes`](Self::inodes).
    fn inode(&self, id: u32) -> InodeRef<'_>;

    /// The names in a directory and the inodes they name, without `.` and `..`, each name once; none when `id` is no
    /// directory. The order must depend on the tree alone: it reaches the image.
    fn children(&self, id: u32) -> impl Iterator<Item = (&[u8], u32)>;
}

/// One inode as the writer sees it.
#[derive(Clone, Copy, Debug)]
pub struct InodeRef<'a> {
    /// Owner, permissions, time.
    pub meta: &'a Metadata,
    /// Extended attributes.
    pub xattrs: &'a Xattrs,
    /// Type, and what goes with it.
    pub kind: &'a NodeKind<FileData>,
}
