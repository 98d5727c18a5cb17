//! Applying the entries of one layer, in their order.

use super::arena::{Arena, NodeId, Slot, State};
use super::ghosts::Ghosts;
use super::links::Pending;
use super::resolve::{Memo, Stop};
use super::{Class, Error, Marks, PathError, Whiteouts, classify, normalise, path};
use crate::meta::{Entry, Metadata, Named, NodeKind, Xattrs};

/// A layer that is being applied. It must be ended by [`Layer::finish`].
#[derive(Debug)]
pub struct Layer<'t, C> {
    pub(super) arena: &'t mut Arena<C>,
    /// Whether `.wh.` names are whiteouts.
    pub(super) oci: bool,
    /// Position of the next member.
    pub(super) position: u32,
    pub(super) ghosts: Ghosts,
    pub(super) pending: Pending,
    /// Holds AUFS bookkeeping files while the layer is applied (F4).
    pub(super) bookkeeping: Option<NodeId>,
    pub(super) memo: Memo,
}

impl<'t, C> Layer<'t, C> {
    pub(super) fn begin(arena: &'t mut Arena<C>, rules: Whiteouts) -> Result<Self, Error> {
        let (oci, marks): (bool, Marks) = match rules {
            Whiteouts::Oci(marks) => (true, marks),
            Whiteouts::None(marks) => (false, marks),
        };
        let ghosts = marks.apply(arena)?;
        let (pending, memo) = (Pending::default(), Memo::default());
        Ok(Self { arena, oci, position: 0, ghosts, pending, bookkeeping: None, memo })
    }

    /// Applies the next member of the layer; its name and its target are normalised here (F11). Whiteouts and opaque markers among them have done their work already.
    ///
    /// # Errors
    /// When the entry breaks an F rule; the tree is of no use then.
    pub fn apply(&mut self, member: Named<'_, C>) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let refuse = |why: PathError| Error::Name { name: member.path.into(), why };
        let path = normalise(member.path, &mut buffer).map_err(refuse)?;
        let class = if self.oci { classify(path).map_err(refuse)? } else { Class::Entry };
        let result = match class {
            Class::Entry => self.enter(NodeId::ROOT, path, member),
            Class::Bookkeeping => self.keep_book(path, member),
            Class::Whiteout { .. } | Class::Opaque(_) => Ok(()),
        };
        self.position = self.position.saturating_add(1);
        self.arena.entries += 1;
        result
    }

    /// Passes over a member that is no entry, so that positions agree with those of the marks.
    pub fn skip(&mut self) {
        self.position = self.position.saturating_add(1);
    }

    /// Ends the layer: hard links that came before their targets find them now (F8).
    ///
    /// # Errors
    /// When a link's target is a directory or does not exist.
    pub fn finish(mut self) -> Result<(), Error> {
        self.resolve_pending()?;
        if let Some(root) = self.bookkeeping {
            self.arena.release(root);
        }
        self.ghosts.end(self.arena);
        Ok(())
    }

    fn enter(&mut self, root: NodeId, path: &[u8], member: Named<'_, C>) -> Result<(), Error> {
        match member.entry {
            Entry::HardLink(target) => self.link(root, path, &target),
            Entry::Node(NodeKind::Directory) => self.directory(root, path, member.meta, member.xattrs),
            Entry::Node(kind) => {
                if let NodeKind::Symlink(target) = &kind {
                    check_symlink(path, target)?;
                }
                let full = |_| Error::TooMany(path.into());
                let slot = self.arena.add_inode(member.meta, member.xattrs, State::Is(kind)).map_err(full)?;
                self.put(root, path, slot)
                    .map_err(|stop| stop.at(path))?
                    .ok_or_else(|| Error::Root(member.path.into()))?;
                Ok(())
            }
        }
    }

    /// AUFS bookkeeping: kept out of sight as the possible target of hard links, until the layer ends.
    fn keep_book(&mut self, path: &[u8], member: Named<'_, C>) -> Result<(), Error> {
        let root = match self.bookkeeping {
            Some(root) => root,
            None => self.arena.add_hidden_root().map_err(|_| Error::TooMany(path.into()))?,
        };
        self.bookkeeping = Some(root);
        self.enter(root, path, member)
    }

    fn directory(&mut self, root: NodeId, path: &[u8], meta: Metadata, xattrs: Xattrs) -> Result<(), Error> {
        let stop = |stop: Stop| stop.at(path);
        let (dir, name) = path::split(path);
        let node = if path.is_empty() {
            root
        } else {
            let dir = self.make_directory(root, dir).map_err(stop)?;
            match self.arena.child(dir, name).filter(|node| self.arena.is_directory(*node)) {
                Some(node) => node,
                None => {
                    let state = State::Is(NodeKind::Directory);
                    let slot = self.arena.add_inode(meta, xattrs, state).map_err(|full| stop(full.into()))?;
                    return self.replace(dir, name, slot).map(|_| ()).map_err(stop);
                }
            }
        };
        let slot = self.arena.slot(node);
        let inode = self.arena.inode_mut(slot);
        inode.meta = meta;
        inode.xattrs = xattrs;
        Ok(())
    }

    /// Gives an inode the name `path`, whatever had it before; `None` for the root, which keeps its own.
    pub(super) fn put(&mut self, root: NodeId, path: &[u8], slot: Slot) -> Result<Option<NodeId>, Stop> {
        if path.is_empty() {
            return Ok(None);
        }
        let (dir, name) = path::split(path);
        let dir = self.make_directory(root, dir)?;
        self.replace(dir, name, slot).map(Some)
    }

    fn replace(&mut self, dir: NodeId, name: &[u8], slot: Slot) -> Result<NodeId, Stop> {
        if let Some(old) = self.arena.child(dir, name) {
            if self.arena.is_directory(old) {
                self.memo.forget();
            }
            self.arena.remove(old);
        }
        if !self.ghosts.is_empty() {
            let by_directory = matches!(self.arena.inode(slot).state, State::Is(NodeKind::Directory));
            self.ghosts.replace(self.arena, dir, name, by_directory);
        }
        Ok(self.arena.attach(dir, name, slot)?)
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
