//! The finished tree in canonical order.

use super::arena::{Arena, NodeId, Slot, SlotState};
use crate::meta::{Metadata, NodeKind, Xattrs};

/// A finished tree: children are sorted byte-wise by name, inodes numbered 0, 1, 2... in the order in which a walk first
/// meets them (T1). The root is 0.
#[derive(Debug)]
pub struct SealedTree<C> {
    pub(super) arena: Arena<C>,
    /// Slot and first name of each inode. Nodes now hold inode numbers instead of slots.
    pub(super) inodes: Vec<(Slot, NodeId)>,
}

/// The number of an inode, counting from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub u32);

impl InodeId {
    /// The root directory.
    pub const ROOT: Self = Self(0);
}

/// An inode of the tree.
#[derive(Debug)]
pub struct InodeView<'t, C> {
    /// Its attributes.
    pub meta: &'t Metadata,
    /// Its extended attributes.
    pub xattrs: &'t Xattrs,
    /// What it is.
    pub kind: &'t NodeKind<C>,
    /// How many names it has; always 1 for a directory.
    pub names: u32,
}

impl<C> SealedTree<C> {
    pub(super) fn new(mut arena: Arena<C>) -> Self {
        arena.end_lookups();
        arena.sort();
        let mut inodes: Vec<(Slot, NodeId)> = Vec::with_capacity(arena.slot_count());
        let mut numbers = vec![u32::MAX; arena.slot_count()];
        let mut next = Some(NodeId::ROOT);
        while let Some(node) = next {
            let slot = arena.slot(node);
            next = after(&arena, node, |node| arena.first_child(node));
            let number = &mut numbers[slot.0 as usize];
            if *number == u32::MAX {
                // There are at most as many inodes as slots, and those have 32-bit numbers.
                *number = u32::try_from(inodes.len()).unwrap_or(u32::MAX);
                inodes.push((slot, node));
            }
        }
        // Only now, because the walk above needs the slots.
        let mut sealed = Self { arena, inodes };
        sealed.renumber(&numbers);
        sealed
    }

    fn renumber(&mut self, numbers: &[u32]) {
        let mut next = Some(NodeId::ROOT);
        while let Some(node) = next {
            // Finding the next node needs this one's slot, so do it before the number replaces that.
            let following = after(&self.arena, node, |node| self.arena.first_child(node));
            if !self.arena.is_directory(node) {
                let slot = self.arena.slot(node);
                self.arena.set_slot(node, numbers[slot.0 as usize]);
            }
            next = following;
        }
        for at in 0..self.inodes.len() {
            let (slot, node) = self.inodes[at];
            self.arena.set_slot(node, numbers[slot.0 as usize]);
        }
    }

    /// The number of inodes.
    #[must_use]
    pub fn inode_count(&self) -> u32 {
        // There are at most as many as slots, and those have 32-bit numbers.
        u32::try_from(self.inodes.len()).unwrap_or(u32::MAX)
    }

    /// The numbers of all inodes, in order: that of a directory is higher than its parent's.
    pub fn inodes(&self) -> impl DoubleEndedIterator<Item = InodeId> + use<C> {
        (0..self.inode_count()).map(InodeId)
    }

    /// The inode with this number.
    ///
    /// # Panics
    /// When there is no such inode.
    #[must_use]
    pub fn inode(&self, id: InodeId) -> InodeView<'_, C> {
        let inode = self.arena.inode(self.inodes[id.0 as usize].0);
        match &inode.state {
            SlotState::Is(kind) => InodeView { meta: &inode.meta, xattrs: &inode.xattrs, kind, names: inode.names },
            SlotState::Pending | SlotState::Free => unreachable!("a numbered inode is an inode"),
        }
    }

    /// Writes the path of the inode's first name, without leading `/`, into `path`.
    pub fn first_path(&self, id: InodeId, path: &mut Vec<u8>) {
        self.arena.path(self.inodes[id.0 as usize].1, path);
    }

    /// The names in a directory and their inodes, sorted byte-wise; empty for anything else.
    #[must_use]
    pub fn children(&self, dir: InodeId) -> Children<'_, C> {
        let is_dir = matches!(self.inode(dir).kind, NodeKind::Directory);
        let first = if is_dir { self.first_child(dir) } else { None };
        Children { tree: self, next: first }
    }

    pub(super) fn id(&self, node: NodeId) -> InodeId {
        InodeId(self.arena.slot(node).0)
    }

    pub(super) fn first_child(&self, dir: InodeId) -> Option<NodeId> {
        self.arena.first_child_of(self.inodes[dir.0 as usize].0)
    }

    /// The node after `node` in a walk.
    pub(super) fn after(&self, node: NodeId) -> Option<NodeId> {
        after(&self.arena, node, |node| {
            let id = self.id(node);
            match self.inode(id).kind {
                NodeKind::Directory => self.first_child(id),
                _ => None,
            }
        })
    }
}

/// The next node in depth-first order: a child, else a sibling, else a sibling of an ancestor.
fn after<C>(arena: &Arena<C>, node: NodeId, first_child: impl Fn(NodeId) -> Option<NodeId>) -> Option<NodeId> {
    if let Some(child) = first_child(node) {
        return Some(child);
    }
    let mut at = node;
    while at != NodeId::ROOT {
        if let Some(sibling) = arena.next_sibling(at) {
            return Some(sibling);
        }
        at = arena.parent(at);
    }
    None
}

/// See [`SealedTree::children`].
#[derive(Debug)]
pub struct Children<'t, C> {
    tree: &'t SealedTree<C>,
    next: Option<NodeId>,
}

impl<'t, C> Iterator for Children<'t, C> {
    type Item = (&'t [u8], InodeId);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.next?;
        self.next = self.tree.arena.next_sibling(node);
        Some((self.tree.arena.name(node), self.tree.id(node)))
    }
}
