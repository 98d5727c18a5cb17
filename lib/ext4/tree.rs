//! The tree, as the writer needs it.

use super::layout::file_data::FileData;
use crate::meta::{Metadata, NodeKind, Xattrs};

/// The tree to write to an image. An adapter implements it; the writer reads it several times, in any order.
///
/// Inodes have consecutive ids below [`inodes`](Self::inodes). Every inode except the root has at least one name; a
/// directory has exactly one, so that the directories form a tree below the root.
pub trait FileTree {
    /// The number of inodes.
    fn inodes(&self) -> u32;

    /// The root directory.
    fn root(&self) -> u32;

    /// An inode; `id` is below [`inodes`](Self::inodes).
    fn inode(&self, id: u32) -> InodeRef<'_>;

    /// The names in a directory and their inodes, without `.` and `..` and without duplicates; empty if `id` is not a
    /// directory. The order must only depend on the tree, because it affects the image.
    fn children(&self, id: u32) -> impl Iterator<Item = (&[u8], u32)>;
}

/// An inode, as the writer sees it.
#[derive(Clone, Copy, Debug)]
pub struct InodeRef<'a> {
    /// Owner, permissions, time.
    pub meta: &'a Metadata,
    /// Extended attributes.
    pub xattrs: &'a Xattrs,
    /// Type and content.
    pub kind: &'a NodeKind<FileData>,
}
