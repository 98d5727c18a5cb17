//! The tree that layers are merged into.

use super::allowance::Allowance;
use super::arena::{Arena, NodeId};
use super::error::Error;
use super::layer::LayerInProgress;
use super::path;
use super::sealed_tree::SealedTree;
use super::whiteouts::Whiteouts;

/// A tree to which layers are applied, bottom first. It starts as an empty root directory.
#[derive(Debug)]
pub struct MergeTree<C> {
    arena: Arena<C>,
    allowance: Allowance,
}

impl<C> MergeTree<C> {
    /// An empty root: 0755 0:0 at time 0 until an entry says otherwise (F6, E11).
    #[must_use]
    pub fn new() -> Self {
        Self { arena: Arena::new(), allowance: Allowance::new() }
    }

    /// Finds the symlinks on the way to what `whiteouts` name; see [`Whiteouts`].
    pub fn look_up(&self, whiteouts: &mut Whiteouts) {
        whiteouts.look_up(&self.arena);
    }

    /// Begins the next layer: what its whiteouts hide is removed at once.
    ///
    /// # Errors
    /// When a whiteout's directory cannot be resolved ([`Error::Loop`]).
    pub fn layer(&mut self, whiteouts: Whiteouts) -> Result<LayerInProgress<'_, C>, Error> {
        LayerInProgress::begin(&mut self.arena, &mut self.allowance, whiteouts)
    }

    /// Removes every name for which `keep` returns false, with everything below it. The root is always kept.
    ///
    /// `keep` gets the path, without leading or trailing `/`, and whether it is a directory.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], bool) -> bool) {
        let mut path = Vec::new();
        let mut next = self.arena.first_child(NodeId::ROOT);
        let mut dir = NodeId::ROOT;
        loop {
            let Some(node) = next else {
                if dir == NodeId::ROOT {
                    return;
                }
                path.truncate(path::parent(&path).len());
                next = self.arena.next_sibling(dir);
                dir = self.arena.parent(dir);
                continue;
            };
            let above = path.len();
            path::push_component(&mut path, self.arena.name(node));
            let is_dir = self.arena.is_directory(node);
            if !keep(&path, is_dir) {
                next = self.arena.next_sibling(node);
                self.arena.remove(node);
            } else if is_dir {
                dir = node;
                next = self.arena.first_child(node);
                continue;
            } else {
                next = self.arena.next_sibling(node);
            }
            path.truncate(above);
        }
    }

    /// The tree as it is now, in canonical order; more layers may follow.
    #[must_use]
    pub fn snapshot(&mut self) -> SealedTree<C>
    where
        C: Clone,
    {
        SealedTree::new(self.arena.snapshot())
    }

    /// Puts the tree in canonical order and numbers its inodes.
    #[must_use]
    pub fn seal(self) -> SealedTree<C> {
        SealedTree::new(self.arena)
    }
}

impl<C> Default for MergeTree<C> {
    fn default() -> Self {
        Self::new()
    }
}
