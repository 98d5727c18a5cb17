//! What the current layer has hidden, kept until it ends for the hard links that came before the whiteout (F8).

use std::collections::HashMap;

use super::arena::{Arena, NodeId};
use super::cursor::{Cursor, Loops};
use super::table::Table;
use crate::meta::NodeKind;

/// Detached subtrees of lower layers.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    table: Table,
    /// Each one with the position of what hid it: a link further up in the layer still sees it.
    hidden_at: HashMap<NodeId, u32>,
}

impl Ghosts {
    /// Takes `node` out of the tree.
    pub(super) fn add<C>(&mut self, arena: &mut Arena<C>, node: NodeId, position: u32) {
        arena.detach(node);
        arena.insert_into(&mut self.table, node);
        self.hidden_at.insert(node, position);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A new entry `name` in `dir` replaces what an extractor would have had there: nothing shows it again, unless
    /// both are directories and merge.
    pub(super) fn replace<C>(&mut self, arena: &Arena<C>, dir: NodeId, name: &[u8], by_directory: bool) {
        if let Some(ghost) = arena.find(&self.table, dir, name)
            && !(by_directory && arena.is_directory(ghost))
        {
            self.hidden_at.insert(ghost, 0);
        }
    }

    /// What `path` led to before the whiteouts behind `position` took effect.
    pub(super) fn find<C>(
        &self,
        arena: &Arena<C>,
        root: NodeId,
        path: &[u8],
        position: u32,
    ) -> Result<Option<NodeId>, Loops> {
        let mut cursor = Cursor::new(path);
        // The directories that the path means so far, what is visible before what is hidden.
        let mut here = vec![root];
        while let Some(name) = cursor.next() {
            if name == b".." {
                here = vec![here.first().map_or(root, |dir| arena.parent(*dir))];
                continue;
            }
            let found: Vec<NodeId> = here.iter().flat_map(|dir| self.children(arena, *dir, name, position)).collect();
            if cursor.is_done() {
                return Ok(found.first().copied());
            }
            let Some(first) = found.first() else { return Ok(None) };
            if let Some(NodeKind::Symlink(target)) = arena.kind(*first) {
                if target.starts_with(b"/") {
                    here = vec![root];
                }
                cursor.follow(target)?;
                continue;
            }
            here = found.into_iter().take_while(|node| arena.is_directory(*node)).collect();
            if here.is_empty() {
                return Ok(None);
            }
        }
        Ok(here.first().copied())
    }

    fn children<C>(
        &self,
        arena: &Arena<C>,
        dir: NodeId,
        name: &[u8],
        position: u32,
    ) -> impl Iterator<Item = NodeId> + use<C> {
        let visible = arena.child(dir, name);
        let hidden = arena.find(&self.table, dir, name);
        let still = hidden.filter(|node| self.hidden_at.get(node).is_some_and(|at| *at > position));
        [visible, still].into_iter().flatten()
    }

    /// The layer has ended: nothing refers to what it hid.
    pub(super) fn end<C>(self, arena: &mut Arena<C>) {
        for node in self.hidden_at.into_keys() {
            arena.release(node);
        }
    }
}
