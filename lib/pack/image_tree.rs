//! Presents the merge tree to the image writer.

use crate::ext4::{FileData, FileTree, InodeRef};
use crate::tree::{InodeId, Sealed};

/// A sealed tree whose inode numbers serve as the writer's ids.
pub(super) struct ImageTree(pub(super) Sealed<FileData>);

impl FileTree for ImageTree {
    fn inodes(&self) -> u32 {
        // Inode numbers are below u32::MAX.
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
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
