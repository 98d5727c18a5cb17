//! Putting entries where an extractor would put them.

use super::allowance::Allowance;
use super::arena::{Arena, NodeId, Slot, State};
use super::hidden_entries::HiddenEntries;
use super::path;
use super::resolve::{FoundDirectory, Missing, PathResolver, ResolveError};
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
    /// The directory at `dir` (normalised), made with its parents where they are missing.
    pub(super) fn make_directory(&mut self, root: NodeId, dir: &[u8]) -> Result<FoundDirectory, ResolveError> {
        let missing = Missing::Make { whiteout_names: self.whiteout_names };
        let found = self.resolver.directory(self.arena, self.allowance, root, dir, missing)?;
        Ok(found.unwrap_or(FoundDirectory::root(root))) // what is missing was made
    }

    /// The directory `name` in `dir`, which is at `path`; perhaps also one that a symlink of that name leads to.
    pub(super) fn directory(
        &mut self,
        root: NodeId,
        path: &[u8],
        dir: FoundDirectory,
        name: &[u8],
        behind_symlinks: bool,
    ) -> Result<Option<NodeId>, ResolveError> {
        let Some(node) = self.arena.child(dir.node, name) else { return Ok(None) };
        match self.arena.kind(node) {
            Some(NodeKind::Directory) => Ok(Some(node)),
            Some(NodeKind::Symlink(_)) if behind_symlinks => {
                match self.resolver.directory(self.arena, self.allowance, root, path, Missing::Stop) {
                    // A symlink that leads in circles leads to no directory.
                    Err(ResolveError::Loop) => Ok(None),
                    found => Ok(found?.map(|directory| directory.node)),
                }
            }
            _ => Ok(None),
        }
    }

    /// What `path` (normalised) leads to; its last component is not followed. What whiteouts behind `position` hide is
    /// still there.
    pub(super) fn find(&mut self, root: NodeId, path: &[u8], position: u32) -> Result<Option<NodeId>, ResolveError> {
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

    /// Gives an inode the name `path`, whatever had it before; `None` for the root, which keeps its own.
    pub(super) fn put(&mut self, root: NodeId, path: &[u8], slot: Slot) -> Result<Option<NodeId>, ResolveError> {
        if path.is_empty() {
            return Ok(None);
        }
        let (parent, name) = path::split(path);
        let dir = self.make_directory(root, parent)?;
        self.allowance.path(dir.path_len_of(name)?, path.len())?;
        self.replace(dir.node, name, slot).map(Some)
    }

    /// Gives an inode the name `name` in `dir`, whatever had it before.
    pub(super) fn replace(&mut self, dir: NodeId, name: &[u8], slot: Slot) -> Result<NodeId, ResolveError> {
        if let Some(old) = self.arena.child(dir, name) {
            if matches!(self.arena.kind(old), Some(NodeKind::Directory | NodeKind::Symlink(_))) {
                self.resolver.forget();
            }
            self.arena.remove(old);
        }
        if !self.hidden.is_empty() {
            let by_directory = matches!(self.arena.inode(slot).state, State::Is(NodeKind::Directory));
            self.hidden.replace(self.arena, self.allowance, dir, name, by_directory)?;
        }
        Ok(self.arena.attach(dir, name, slot)?)
    }
}
