//! Applies the entries of one layer, in order.

use super::allowance::Allowance;
use super::arena::{Arena, NodeId, SlotState};
use super::error::Error;
use super::links::Links;
use super::path::{self, PathError, WhiteoutKind, normalise, whiteout_kind};
use super::placement::Placement;
use super::placement_error::PlacementError;
use super::resolve::PathResolver;
use super::whiteouts::{WhiteoutFormat, Whiteouts};
use crate::meta::{Entry, Metadata, Named, NodeKind, Xattrs};

/// What happens to an existing directory when a layer has a directory entry for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingDirectories {
    /// It takes the entry's attributes; a symlink to a directory is replaced by one (F5).
    TakeAttributes,
    /// Likewise, but a symlink to a directory stays, and the entry applies to its target (F16).
    BehindSymlinks,
    /// It stays as it is, also when reached through a symlink (F16).
    Stay,
}

/// A layer that is being applied. [`LayerInProgress::finish`] must be called at its end.
#[derive(Debug)]
pub struct LayerInProgress<'t, C> {
    place: Placement<'t, C>,
    links: Links,
    existing: ExistingDirectories,
    /// How many members have been applied.
    position: u32,
}

impl<'t, C> LayerInProgress<'t, C> {
    pub(super) fn begin(
        arena: &'t mut Arena<C>,
        allowance: &'t mut Allowance,
        whiteouts: Whiteouts,
    ) -> Result<Self, Error> {
        let whiteout_names = whiteouts.format() == WhiteoutFormat::Names;
        let hidden = whiteouts.apply(arena, allowance)?;
        let place = Placement { arena, allowance, hidden, resolver: PathResolver::default(), whiteout_names };
        let existing = ExistingDirectories::TakeAttributes;
        Ok(Self { place, links: Links::default(), existing, position: 0 })
    }

    /// Sets what happens to existing directories.
    #[must_use]
    pub fn existing_directories(self, existing: ExistingDirectories) -> Self {
        Self { existing, ..self }
    }

    /// Applies the next member of the layer, after normalising its name and link target (F11). Whiteouts and opaque
    /// markers are ignored: they have taken effect already.
    ///
    /// # Errors
    /// When the entry breaks an F rule; the tree must not be used after that.
    pub fn apply(&mut self, member: Named<'_, C>) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let refuse = |why: PathError| Error::Name { name: member.path.into(), why };
        let path = normalise(member.path, &mut buffer).map_err(refuse)?;
        self.place.allowance.member(path.len());
        let kind = if self.place.whiteout_names { whiteout_kind(path).map_err(refuse)? } else { None };
        match kind {
            None => self.enter(NodeId::ROOT, path, member)?,
            Some(WhiteoutKind::Bookkeeping) => self.enter_bookkeeping(path, member)?,
            Some(WhiteoutKind::Whiteout { .. } | WhiteoutKind::Opaque(_)) => {}
        }
        self.position = self.position.saturating_add(1);
        Ok(())
    }

    /// Ends the layer: hard links that precede their targets are resolved now (F8).
    ///
    /// # Errors
    /// When a link's target is a directory or does not exist.
    pub fn finish(mut self) -> Result<(), Error> {
        self.links.resolve_pending(&mut self.place, self.position)?;
        if let Some(root) = self.links.bookkeeping {
            self.place.arena.release(root);
        }
        self.place.hidden.end(self.place.arena);
        Ok(())
    }

    fn enter(&mut self, root: NodeId, path: &[u8], member: Named<'_, C>) -> Result<(), Error> {
        match member.entry {
            Entry::HardLink(target) => self.links.link(&mut self.place, root, path, &target, self.position),
            Entry::Node(NodeKind::Directory) => {
                self.directory(root, path, member.meta, member.xattrs).map_err(|error| error.at(path))
            }
            Entry::Node(kind) => {
                if let NodeKind::Symlink(target) = &kind {
                    check_symlink(path, target)?;
                }
                let refused = |error: PlacementError| error.at(path);
                let slot =
                    self.place.arena.add_inode(member.meta, member.xattrs, SlotState::Is(kind)).map_err(refused)?;
                let put = self.place.put(root, path, slot).map_err(refused)?;
                put.map(|_| ()).ok_or_else(|| Error::Root(member.path.into()))
            }
        }
    }

    /// Adds AUFS bookkeeping: invisible, but a possible target of hard links until the layer ends.
    fn enter_bookkeeping(&mut self, path: &[u8], member: Named<'_, C>) -> Result<(), Error> {
        let root = match self.links.bookkeeping {
            Some(root) => root,
            None => self.place.arena.add_hidden_root().map_err(|error| error.at(path))?,
        };
        self.links.bookkeeping = Some(root);
        self.enter(root, path, member)
    }

    fn directory(&mut self, root: NodeId, path: &[u8], meta: Metadata, xattrs: Xattrs) -> Result<(), PlacementError> {
        let place = &mut self.place;
        let node = if path.is_empty() {
            root
        } else {
            let (parent, name) = path::split(path);
            let dir = place.make_directory(root, parent)?;
            let behind_symlinks = self.existing != ExistingDirectories::TakeAttributes;
            match place.directory(root, path, dir, name, behind_symlinks)? {
                Some(node) => node,
                None => {
                    place.allowance.path(dir.path_len_of(name)?, path.len())?;
                    let slot = place.arena.add_inode(meta, xattrs, SlotState::Is(NodeKind::Directory))?;
                    return place.replace(dir.node, name, slot).map(|_| ());
                }
            }
        };
        if self.existing == ExistingDirectories::Stay {
            return Ok(());
        }
        let slot = place.arena.slot(node);
        let inode = place.arena.inode_mut(slot);
        inode.meta = meta;
        inode.xattrs = xattrs;
        Ok(())
    }
}

fn check_symlink(name: &[u8], target: &[u8]) -> Result<(), Error> {
    let why = match target {
        b"" => PathError::Empty,
        _ if target.contains(&0) => PathError::Nul,
        _ => return Ok(()),
    };
    Err(Error::Symlink { name: name.into(), why })
}
