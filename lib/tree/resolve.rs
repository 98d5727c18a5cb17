//! Finding and making the directories that a path names (F6, F7).

use super::apply::Layer;
use super::arena::{Arena, Full, NodeId, State};
use super::cursor::{Cursor, Loops};
use super::{Error, PathError, path};
use crate::meta::{Metadata, NodeKind, Xattrs};

/// So many missing parents are made in a tree, and so many more for each entry: memory is to grow with the entries (S5),
/// and a name of a megabyte, which a compressor makes nothing of, has half a million parents.
const IMPLIED: u64 = 1 << 16;
const IMPLIED_BY_ENTRY: u64 = 8;

/// Why a directory could not be made.
pub(super) enum Stop {
    Loops,
    Full,
    Implied,
    Whiteout,
}

impl From<Loops> for Stop {
    fn from(_: Loops) -> Self {
        Self::Loops
    }
}

impl From<Full> for Stop {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl Stop {
    /// The error for the entry `name`.
    pub(super) fn at(self, name: &[u8]) -> Error {
        match self {
            Self::Loops => Error::Loop(name.into()),
            Self::Full => Error::TooMany(name.into()),
            Self::Implied => Error::TooManyImplied(name.into()),
            Self::Whiteout => Error::Name { name: name.into(), why: PathError::ThroughWhiteout },
        }
    }
}

/// The directory that the last entry stood in or was, so that the next one need not start at the root.
///
/// Every component of `path` is a directory itself, not a symlink to one. Forgotten whenever a directory goes.
#[derive(Debug, Default)]
pub(super) struct Memo {
    path: Vec<u8>,
    node: Option<NodeId>,
}

impl Memo {
    pub(super) fn set(&mut self, path: &[u8], node: NodeId) {
        self.path.clear();
        self.path.extend_from_slice(path);
        self.node = Some(node);
    }

    pub(super) fn forget(&mut self) {
        self.node = None;
    }

    /// The deepest known directory on the way to `path`, and how many bytes of `path` lead there.
    fn start<C>(&self, arena: &Arena<C>, path: &[u8]) -> Option<(NodeId, usize)> {
        let mut node = self.node?;
        let ends = |path: &[u8], at: usize| at == path.len() || path.get(at) == Some(&b'/');
        let mut common = self.path.iter().zip(path).take_while(|(a, b)| a == b).count();
        while common > 0 && !(ends(&self.path, common) && ends(path, common)) {
            common -= 1;
        }
        for _ in 0..path::depth(&self.path).checked_sub(path::depth(&self.path[..common]))? {
            node = arena.parent(node);
        }
        Some((node, common))
    }
}

impl<C> Layer<'_, C> {
    /// The directory at `dir` (normalised), made with its parents where they are missing. A symlink is followed
    /// inside the root and its missing target made; anything else that is no directory is replaced by one.
    pub(super) fn make_directory(&mut self, root: NodeId, dir: &[u8]) -> Result<NodeId, Stop> {
        let start = if root == NodeId::ROOT { self.memo.start(self.arena, dir) } else { None };
        let (mut here, known) = start.unwrap_or((root, 0));
        if known == dir.len() {
            return Ok(here);
        }
        let mut cursor = Cursor::new(&dir[known..]);
        while let Some(name) = cursor.next() {
            if name == b".." {
                here = self.arena.parent(here);
                continue;
            }
            let child = self.arena.child(here, name);
            here = match (child, child.and_then(|node| self.arena.kind(node))) {
                (Some(node), Some(NodeKind::Directory)) => node,
                (Some(_), Some(NodeKind::Symlink(target))) => {
                    if target.starts_with(b"/") {
                        here = root;
                    }
                    cursor.follow(target)?;
                    here
                }
                // Only a symlink leads to such a name, and the result could not be told from a whiteout (T4).
                _ if self.oci && root == NodeId::ROOT && name.starts_with(path::WHITEOUT) => {
                    return Err(Stop::Whiteout);
                }
                (child, _) => {
                    if let Some(node) = child {
                        self.arena.remove(node);
                    }
                    self.implied(here, name)?
                }
            };
        }
        if root == NodeId::ROOT && cursor.passed().is_some() {
            self.memo.set(dir, here);
        }
        Ok(here)
    }

    fn implied(&mut self, dir: NodeId, name: &[u8]) -> Result<NodeId, Stop> {
        self.arena.implied += 1;
        if self.arena.implied > IMPLIED.saturating_add(self.arena.entries.saturating_mul(IMPLIED_BY_ENTRY)) {
            return Err(Stop::Implied);
        }
        let directory = State::Is(NodeKind::Directory);
        let slot = self.arena.add_inode(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, directory)?;
        Ok(self.arena.attach(dir, name, slot)?)
    }
}

/// What is at `path`; its last component is not followed.
pub(super) fn find<C>(arena: &Arena<C>, root: NodeId, path: &[u8]) -> Result<Option<NodeId>, Loops> {
    let mut cursor = Cursor::new(path);
    let mut here = root;
    while let Some(name) = cursor.next() {
        if name == b".." {
            here = arena.parent(here);
            continue;
        }
        let Some(node) = arena.child(here, name) else { return Ok(None) };
        if cursor.is_done() {
            return Ok(Some(node));
        }
        match arena.kind(node) {
            Some(NodeKind::Directory) => here = node,
            Some(NodeKind::Symlink(target)) => {
                if target.starts_with(b"/") {
                    here = root;
                }
                cursor.follow(target)?;
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(here))
}
