//! The entries that the current layer hides, kept until its end for hard links that precede the whiteout (F8).
//!
//! A hidden name still refers to its directory, which may be visible, hidden too, or gone: so node numbers are not reused
//! while there are hidden entries.

use std::collections::HashMap;

use super::allowance::Allowance;
use super::arena::{Arena, NodeId};
use super::components::Components;
use super::placement_error::PlacementError;
use super::table::Table;
use crate::meta::NodeKind;

/// Detached subtrees of lower layers.
#[derive(Debug, Default)]
pub(super) struct HiddenEntries {
    table: Table,
    /// The position of the whiteout that hid each: links before it still see the entry.
    hidden_at: HashMap<NodeId, u32>,
    /// Whether there is a directory among them.
    directories: bool,
}

/// The position for entries that the layer itself has replaced: before all links.
const REPLACED: u32 = 0;

impl HiddenEntries {
    /// Removes `node` from the tree.
    pub(super) fn add<C>(&mut self, arena: &mut Arena<C>, node: NodeId, position: u32) {
        arena.detach(node);
        arena.insert_into(&mut self.table, node);
        arena.hold_numbers(true);
        self.hidden_at.insert(node, position);
        self.directories |= arena.is_directory(node);
    }

    /// A hidden directory.
    pub(super) fn directory<C>(&self, arena: &Arena<C>, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        arena.find(&self.table, dir, name).filter(|node| arena.is_directory(*node))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A new entry `name` in `dir` replaces what an extractor would have had there, for good, unless both are
    /// directories and merge.
    pub(super) fn replace<C>(
        &mut self,
        arena: &mut Arena<C>,
        allowance: &mut Allowance,
        dir: NodeId,
        name: &[u8],
        by_directory: bool,
    ) -> Result<(), PlacementError> {
        let behind = self.behind(arena, allowance, dir)?;
        let with_it = behind.iter().filter_map(|dir| arena.child(*dir, name));
        let by_itself = behind.iter().chain([&dir]).filter_map(|dir| arena.find(&self.table, *dir, name));
        let merges = |node: &NodeId| by_directory && arena.is_directory(*node);
        let with_it: Vec<NodeId> = with_it.filter(|node| !merges(node)).collect();
        let by_itself: Vec<NodeId> = by_itself.filter(|node| !merges(node)).collect();
        for node in with_it {
            self.add(arena, node, REPLACED);
        }
        for node in by_itself {
            self.hidden_at.insert(node, REPLACED);
        }
        Ok(())
    }

    /// The hidden directories with the same path as the visible `dir`.
    fn behind<C>(
        &self,
        arena: &Arena<C>,
        allowance: &mut Allowance,
        dir: NodeId,
    ) -> Result<Vec<NodeId>, PlacementError> {
        if !self.directories {
            return Ok(Vec::new());
        }
        let mut way = Vec::new();
        let mut visible = dir;
        while arena.parent(visible) != visible {
            way.push(visible);
            visible = arena.parent(visible);
        }
        allowance.steps(way.len())?;
        let mut behind: Vec<NodeId> = Vec::new();
        for node in way.into_iter().rev() {
            let name = arena.name(node);
            let with_it = behind.iter().filter_map(|dir| arena.child(*dir, name));
            let by_itself = behind.iter().chain([&visible]).filter_map(|dir| self.directory(arena, *dir, name));
            let still = |node: &NodeId| arena.is_directory(*node) && self.hidden_at.get(node) != Some(&REPLACED);
            behind = with_it.chain(by_itself).filter(still).collect();
            visible = node;
        }
        Ok(behind)
    }

    /// What `path` led to before the whiteouts after `position` took effect.
    pub(super) fn find<C>(
        &self,
        arena: &Arena<C>,
        allowance: &mut Allowance,
        root: NodeId,
        path: &[u8],
        position: u32,
    ) -> Result<Option<NodeId>, PlacementError> {
        let mut parts = Components::new(path);
        // The directories that the path may refer to so far, visible ones first.
        let mut here = vec![root];
        while let Some(name) = parts.next() {
            allowance.steps(here.len())?;
            if name == b".." {
                here = vec![here.first().map_or(root, |dir| arena.parent(*dir))];
                continue;
            }
            let found: Vec<NodeId> = here.iter().flat_map(|dir| self.children(arena, *dir, name, position)).collect();
            if parts.is_done() {
                return Ok(found.first().copied());
            }
            let Some(first) = found.first() else { return Ok(None) };
            if let Some(NodeKind::Symlink(target)) = arena.kind(*first) {
                if target.starts_with(b"/") {
                    here = vec![root];
                }
                allowance.symlink(target.len())?;
                parts.follow(target)?;
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

    /// The layer has ended, so nothing refers to hidden entries any more.
    pub(super) fn end<C>(self, arena: &mut Arena<C>) {
        for node in self.hidden_at.into_keys() {
            arena.release(node);
        }
        arena.hold_numbers(false);
    }
}
