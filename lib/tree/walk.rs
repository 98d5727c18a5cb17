//! Walks a finished tree.

use super::arena::NodeId;
use super::path;
use super::sealed_tree::{InodeId, SealedTree};

/// See [`SealedTree::walk`].
#[derive(Debug)]
pub struct Walk<'t, C> {
    tree: &'t SealedTree<C>,
    next: Option<NodeId>,
    path: Vec<u8>,
    /// The node that `path` names.
    dir: NodeId,
}

/// A name met on a walk.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'w> {
    /// Its full path without leading or trailing `/`; empty for the root.
    pub path: &'w [u8],
    /// Its inode.
    pub inode: InodeId,
    /// Whether the walk meets the inode for the first time (T2).
    pub is_first: bool,
}

impl<C> SealedTree<C> {
    /// All names in canonical order, parents first (T1).
    #[must_use]
    pub fn walk(&self) -> Walk<'_, C> {
        Walk { tree: self, next: Some(NodeId::ROOT), path: Vec::new(), dir: NodeId::ROOT }
    }
}

impl<C> Walk<'_, C> {
    /// The next name.
    pub fn step(&mut self) -> Option<Visit<'_>> {
        let node = self.next?;
        let arena = &self.tree.arena;
        if node != NodeId::ROOT {
            // `path` is that of the previous node: go up to the common directory, then down.
            let parent = arena.parent(node);
            while self.dir != parent {
                self.path.truncate(path::parent(&self.path).len());
                self.dir = arena.parent(self.dir);
            }
            path::push_component(&mut self.path, arena.name(node));
            self.dir = node;
        }
        self.next = self.tree.after(node);
        let inode = self.tree.id(node);
        let is_first = self.tree.inodes[inode.0 as usize].1 == node;
        Some(Visit { path: &self.path, inode, is_first })
    }
}
