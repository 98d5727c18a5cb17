//! Presents the merge tree to the image writer.

use crate::ext4::{FileData, FileTree, InodeRef};
use crate::tree::{InodeId, SealedTree};

/// A sealed tree whose inode numbers serve as the writer's ids.
pub(super) struct ImageTree(pub(super) SealedTree<FileData>);

impl FileTree for ImageTree {
    fn inodes(&self) -> u32 {
        self.0.inode_count()
    }

    fn root(&self) -> u32 {
        InodeId::ROOT.0
    }

    fn inode(&self, id: u32) -> InodeRef<'_> {
        let inode = self.0.inode(InodeId(id));
        InodeRef { meta: inode.meta, xattrs: inode.xattrs, kind: inode.kind }
    }

    fn children(&self, id: u32) -> impl Iterator<Item = (&[u8], u32)> {
        self.0.children(InodeId(id)).map(|(name, child)| (name, child.0))
    }
}
