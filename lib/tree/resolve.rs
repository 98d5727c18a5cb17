//! Finds and makes the directories of a path (F6, F7).

use std::collections::HashMap;

use super::allowance::Allowance;
use super::arena::{Arena, NodeId, SlotState};
use super::components::Components;
use super::path::{self, MAX_NAME};
use super::placement_error::PlacementError;
use crate::meta::{Metadata, NodeKind, Xattrs};

/// A directory that a path led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundDirectory {
    pub(super) node: NodeId,
    /// The length of its path, with all symlinks resolved.
    pub(super) path_len: usize,
}

impl FoundDirectory {
    pub(super) fn root(node: NodeId) -> Self {
        Self { node, path_len: 0 }
    }

    /// The length of the path of `name` in it.
    pub(super) fn path_len_of(&self, name: &[u8]) -> Result<usize, PlacementError> {
        let len = self.path_len + usize::from(self.path_len > 0) + name.len();
        if len > MAX_NAME { Err(PlacementError::TooLong) } else { Ok(len) }
    }

    fn parent<C>(self, arena: &Arena<C>) -> Self {
        let parent = arena.parent(self.node);
        if parent == self.node {
            return self;
        }
        Self { node: parent, path_len: self.path_len.saturating_sub(arena.name(self.node).len() + 1) }
    }
}

/// What to do about a missing directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: the path leads nowhere.
    Stop,
    /// Make it, replacing what is there; but `.wh.` names must not arise like this if they are whiteouts.
    Make {
        /// Whether `.wh.` names are whiteouts.
        whiteout_names: bool,
    },
}

/// Follows paths, and remembers where recent ones led.
#[derive(Debug, Default)]
pub(super) struct PathResolver {
    last: LastDirectory,
    /// The directories to which symlinks lead.
    symlinks: HashMap<NodeId, LinkedDirectory>,
}

#[derive(Clone, Copy, Debug)]
struct LinkedDirectory {
    directory: FoundDirectory,
    /// How many symlinks are on the way, including the first.
    symlinks: u32,
}

/// A symlink whose target is being followed.
struct FollowedSymlink {
    node: NodeId,
    /// The length of the path after its target.
    left: usize,
    /// How many symlinks were followed before it.
    before: u32,
}

impl PathResolver {
    /// A directory or symlink has been removed: remembered paths may have led through it.
    pub(super) fn forget(&mut self) {
        self.last.forget();
        if !self.symlinks.is_empty() {
            self.symlinks = HashMap::new();
        }
    }

    /// The directory at `dir` (normalised). Symlinks are followed inside the root; `missing` says what to do if a
    /// component is missing, or neither a directory nor a symlink.
    pub(super) fn directory<C>(
        &mut self,
        arena: &mut Arena<C>,
        allowance: &mut Allowance,
        root: NodeId,
        dir: &[u8],
        missing: Missing,
    ) -> Result<Option<FoundDirectory>, PlacementError> {
        let start = if root == NodeId::ROOT { self.last.start(arena, dir) } else { None };
        let mut here = start.unwrap_or(FoundDirectory::root(root));
        let mut parts = Components::new(&dir[here.path_len..]);
        let mut following: Vec<FollowedSymlink> = Vec::new();
        loop {
            parts.trim();
            while let Some(symlink) = following.last().filter(|symlink| parts.left() <= symlink.left) {
                let symlinks = parts.followed - symlink.before;
                self.symlinks.insert(symlink.node, LinkedDirectory { directory: here, symlinks });
                following.pop();
            }
            let Some(name) = parts.next() else { break };
            allowance.steps(1)?;
            if name == b".." {
                here = here.parent(arena);
                continue;
            }
            let child = arena.child(here.node, name);
            match (child, child.and_then(|node| arena.kind(node)), missing) {
                (Some(node), Some(NodeKind::Directory), _) => {
                    here = FoundDirectory { node, path_len: here.path_len_of(name)? };
                }
                (Some(node), Some(NodeKind::Symlink(target)), _) => {
                    if let Some(known) = self.symlinks.get(&node) {
                        parts.skip(known.symlinks)?;
                        here = known.directory;
                        continue;
                    }
                    if target.starts_with(b"/") {
                        here = FoundDirectory::root(root);
                    }
                    following.push(FollowedSymlink { node, left: parts.left(), before: parts.followed });
                    allowance.symlink(target.len())?;
                    parts.follow(target)?;
                }
                (_, _, Missing::Stop) => return Ok(None),
                (child, _, Missing::Make { whiteout_names }) => {
                    // Only a symlink can lead to such a name, and the result would look like a whiteout (T4).
                    if whiteout_names && root == NodeId::ROOT && path::is_whiteout_name(name) {
                        return Err(PlacementError::ThroughWhiteout);
                    }
                    if let Some(node) = child {
                        arena.remove(node);
                    }
                    let path_len = here.path_len_of(name)?;
                    allowance.directory(path_len)?;
                    here = FoundDirectory { node: implied(arena, here.node, name)?, path_len };
                }
            }
        }
        if root == NodeId::ROOT && parts.followed == 0 {
            self.last.set(dir, here.node);
        }
        Ok(Some(here))
    }
}

fn implied<C>(arena: &mut Arena<C>, dir: NodeId, name: &[u8]) -> Result<NodeId, PlacementError> {
    let slot = arena.add_inode(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, SlotState::Is(NodeKind::Directory))?;
    arena.attach(dir, name, slot)
}

/// The directory that was the last entry or contained it, so that the next lookup need not start at the root.
///
/// Every component of `path` is a directory, not a symlink to one.
#[derive(Debug, Default)]
struct LastDirectory {
    path: Vec<u8>,
    node: Option<NodeId>,
}

impl LastDirectory {
    fn forget(&mut self) {
        self.path.clear();
        self.node = None;
    }

    /// The deepest known directory on the way to `path`, which then becomes the last one: each step up is paid for by an
    /// earlier step down.
    fn start<C>(&mut self, arena: &Arena<C>, path: &[u8]) -> Option<FoundDirectory> {
        let mut node = self.node?;
        let ends = |path: &[u8], at: usize| at == path.len() || path.get(at) == Some(&b'/');
        let mut common = self.path.iter().zip(path).take_while(|(a, b)| a == b).count();
        while common > 0 && !(ends(&self.path, common) && ends(path, common)) {
            common -= 1;
        }
        let below = &self.path[common..];
        for _ in 0..path::depth(below.strip_prefix(b"/").unwrap_or(below)) {
            node = arena.parent(node);
        }
        self.path.truncate(common);
        self.node = Some(node);
        Some(FoundDirectory { node, path_len: common })
    }

    /// Sets the last directory; `path` begins with what [`LastDirectory::start`] left of the previous one.
    fn set(&mut self, path: &[u8], node: NodeId) {
        self.path.truncate(path.len());
        self.path.extend_from_slice(&path[self.path.len()..]);
        self.node = Some(node);
    }
}
