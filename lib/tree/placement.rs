//! Puts entries where an extractor would.

use super::allowance::Allowance;
use super::arena::{Arena, NodeId, Slot, SlotState};
use super::hidden_entries::HiddenEntries;
use super::path;
use super::placement_error::PlacementError;
use super::resolve::{FoundDirectory, Missing, PathResolver};
use crate::meta::NodeKind;

/// The tree while a layer is applied to it.
#[derive(Debug)]
pub(super) struct Placement<'t, C> {
    pub(super) arena: &'t mut Arena<C>,
    pub(super) allowance: &'t mut Allowance,
    pub(super) hidden: HiddenEntries,
    pub(super) resolver: PathResolver,
    /// Whether `.wh.` names are whiteouts.
    pub(super) whiteout_names: bool,
}

impl<C> Placement<'_, C> {
    /// The directory at `dir` (normalised), created with its parents if missing.
    pub(super) fn make_directory(&mut self, root: NodeId, dir: &[u8]) -> Result<FoundDirectory, PlacementError> {
        let missing = Missing::Make { whiteout_names: self.whiteout_names };
        let found = self.resolver.directory(self.arena, self.allowance, root, dir, missing)?;
        Ok(found.unwrap_or(FoundDirectory::root(root))) // cannot be missing
    }

    /// The directory `name` in `dir`, at `path`; with `behind_symlinks`, also one to which a symlink of that name leads.
    pub(super) fn directory(
        &mut self,
        root: NodeId,
        path: &[u8],
        dir: FoundDirectory,
        name: &[u8],
        behind_symlinks: bool,
    ) -> Result<Option<NodeId>, PlacementError> {
        let Some(node) = self.arena.child(dir.node, name) else { return Ok(None) };
        match self.arena.kind(node) {
            Some(NodeKind::Directory) => Ok(Some(node)),
            Some(NodeKind::Symlink(_)) if behind_symlinks => {
                match self.resolver.directory(self.arena, self.allowance, root, path, Missing::Stop) {
                    // A symlink loop does not lead to a directory.
                    Err(PlacementError::Loop) => Ok(None),
                    found => Ok(found?.map(|directory| directory.node)),
                }
            }
            _ => Ok(None),
        }
    }

    /// What `path` (normalised) leads to, without following its last component. Entries hidden by whiteouts after
    /// `position` are found too.
    pub(super) fn find(&mut self, root: NodeId, path: &[u8], position: u32) -> Result<Option<NodeId>, PlacementError> {
        let (dir, name) = path::split(path);
        let found = self.resolver.directory(self.arena, self.allowance, root, dir, Missing::Stop)?;
        let found = match found {
            Some(dir) if name.is_empty() => Some(dir.node),
            Some(dir) => self.arena.child(dir.node, name),
            None => None,
        };
        if found.is_some() || self.hidden.is_empty() {
            return Ok(found);
        }
        self.hidden.find(self.arena, self.allowance, root, path, position)
    }

    /// Gives an inode the name `path`, replacing what had it before; `None` for the root, which is never replaced.
    pub(super) fn put(&mut self, root: NodeId, path: &[u8], slot: Slot) -> Result<Option<NodeId>, PlacementError> {
        if path.is_empty() {
            return Ok(None);
        }
        let (parent, name) = path::split(path);
        let dir = self.make_directory(root, parent)?;
        self.allowance.path(dir.path_len_of(name)?, path.len())?;
        self.replace(dir.node, name, slot).map(Some)
    }

    /// Gives an inode the name `name` in `dir`, replacing what had it before.
    pub(super) fn replace(&mut self, dir: NodeId, name: &[u8], slot: Slot) -> Result<NodeId, PlacementError> {
        if let Some(old) = self.arena.child(dir, name) {
            if matches!(self.arena.kind(old), Some(NodeKind::Directory | NodeKind::Symlink(_))) {
                self.resolver.forget();
            }
            self.arena.remove(old);
        }
        if !self.hidden.is_empty() {
            let by_directory = matches!(self.arena.inode(slot).state, SlotState::Is(NodeKind::Directory));
            self.hidden.replace(self.arena, self.allowance, dir, name, by_directory)?;
        }
        self.arena.attach(dir, name, slot)
    }
}
