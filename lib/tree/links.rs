//! Hard links (F8).

use std::collections::HashMap;

use super::apply::Layer;
use super::arena::{NodeId, Slot, State};
use super::resolve::find;
use super::{Class, Error, PathError, classify, normalise};
use crate::meta::{Metadata, NodeKind, Xattrs};

/// Links whose target has not come by yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    links: Vec<Link>,
    /// Which link an inode stands in for.
    by_slot: HashMap<Slot, usize>,
}

#[derive(Debug)]
struct Link {
    node: NodeId,
    slot: Slot,
    name: Box<[u8]>,
    target: Box<[u8]>,
    /// AUFS bookkeeping: when it leads nowhere, nobody misses it (F4).
    unseen: bool,
}

impl<C> Layer<'_, C> {
    /// One more name for what `target` is at this moment.
    pub(super) fn link(&mut self, root: NodeId, name: &[u8], target: &[u8]) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let refuse = |why: PathError| Error::Target { link: name.into(), target: target.into(), why };
        let target = normalise(target, &mut buffer).map_err(refuse)?;
        if name.is_empty() {
            return Err(Error::Root(name.into()));
        }
        let slot = match self.look_up(name, target)? {
            Some(node) if self.arena.is_directory(node) => {
                return Err(Error::LinkToDirectory { link: name.into(), target: target.into() });
            }
            Some(node) if self.arena.kind(node).is_some() => self.arena.slot(node),
            _ => return self.postpone(root, name, target),
        };
        // Held by a name more, because the new name may replace the only one it has.
        self.arena.inode_mut(slot).names += 1;
        let put = self.put(root, name, slot);
        self.arena.unlink(slot);
        put.map(|_| ()).map_err(|stop| stop.at(name))
    }

    /// What `target` leads to now: in the tree, or among what whiteouts further down in this layer hide.
    fn look_up(&self, name: &[u8], target: &[u8]) -> Result<Option<NodeId>, Error> {
        let looped = |_| Error::Loop(name.into());
        let root = match classify(target) {
            Ok(Class::Bookkeeping) if self.bookkeeping.is_some() => self.bookkeeping.unwrap_or(NodeId::ROOT),
            _ => NodeId::ROOT,
        };
        let found = find(self.arena, root, target).map_err(looped)?;
        if found.is_some() || self.ghosts.is_empty() {
            return Ok(found);
        }
        self.ghosts.find(self.arena, root, target, self.position).map_err(looped)
    }

    /// The name is taken at its place in the order (F9), by an inode that stands in for the target.
    fn postpone(&mut self, root: NodeId, name: &[u8], target: &[u8]) -> Result<(), Error> {
        let slot = self
            .arena
            .add_inode(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, State::Pending)
            .map_err(|_| Error::TooMany(name.into()))?;
        if let Some(node) = self.put(root, name, slot).map_err(|stop| stop.at(name))? {
            self.pending.by_slot.insert(slot, self.pending.links.len());
            self.pending.links.push(Link {
                node,
                slot,
                name: name.into(),
                target: target.into(),
                unseen: root != NodeId::ROOT,
            });
        }
        Ok(())
    }

    pub(super) fn resolve_pending(&mut self) -> Result<(), Error> {
        for at in 0..self.pending.links.len() {
            // Links that wait for links that wait: the last of a chain comes first.
            let mut chain = vec![at];
            if self.pending.links[at].unseen {
                continue;
            }
            while let Some(&at) = chain.last() {
                if !self.is_pending(at) {
                    chain.pop();
                    continue;
                }
                match self.target_of(at)? {
                    Target::Inode(slot) => {
                        self.join(at, slot)?;
                        chain.pop();
                    }
                    Target::Link(next) if chain.len() <= self.pending.links.len() => chain.push(next),
                    Target::Link(_) | Target::Nothing => return Err(self.to_nothing(at)),
                }
            }
        }
        Ok(())
    }

    /// Whether the link was neither resolved nor replaced by a later entry.
    fn is_pending(&self, at: usize) -> bool {
        let link = &self.pending.links[at];
        self.arena.leads_to(link.node, link.slot)
            && matches!(self.arena.inode(link.slot).state, State::Pending)
            && self.pending.by_slot.get(&link.slot) == Some(&at)
    }

    fn target_of(&self, at: usize) -> Result<Target, Error> {
        let link = &self.pending.links[at];
        let Some(node) = self.look_up(&link.name, &link.target)? else { return Ok(Target::Nothing) };
        let slot = self.arena.slot(node);
        match &self.arena.inode(slot).state {
            State::Is(NodeKind::Directory) => {
                Err(Error::LinkToDirectory { link: link.name.clone(), target: link.target.clone() })
            }
            State::Is(_) => Ok(Target::Inode(slot)),
            State::Pending => Ok(self.pending.by_slot.get(&slot).map_or(Target::Nothing, |at| Target::Link(*at))),
            State::Free => Ok(Target::Nothing),
        }
    }

    fn join(&mut self, at: usize, slot: Slot) -> Result<(), Error> {
        let Link { node, slot: stand_in, .. } = self.pending.links[at];
        self.arena.inode_mut(slot).names += 1;
        self.arena.set_slot(node, slot.0);
        self.arena.unlink(stand_in);
        Ok(())
    }

    fn to_nothing(&self, at: usize) -> Error {
        let link = &self.pending.links[at];
        Error::LinkToNothing { link: link.name.clone(), target: link.target.clone() }
    }
}

enum Target {
    Inode(Slot),
    Link(usize),
    Nothing,
}
