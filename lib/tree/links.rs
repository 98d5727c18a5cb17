//! Hard links (F8).

use std::collections::HashMap;

use super::arena::{Arena, NodeId, Slot, SlotState};
use super::error::Error;
use super::path::{PathError, WhiteoutKind, normalise, whiteout_kind};
use super::placement::Placement;
use crate::meta::{Metadata, NodeKind, Xattrs};

/// The hard links of a layer, in particular those whose target has not appeared yet.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Contains AUFS bookkeeping files while the layer is applied (F4).
    pub(super) bookkeeping: Option<NodeId>,
    pending: Vec<PendingLink>,
    /// The pending link for which an inode is a placeholder.
    by_slot: HashMap<Slot, usize>,
}

#[derive(Debug)]
struct PendingLink {
    node: NodeId,
    slot: Slot,
    target: Box<[u8]>,
    /// It is AUFS bookkeeping, and may lead nowhere (F4).
    unseen: bool,
}

enum Target {
    Inode(Slot),
    Link(usize),
    Nothing,
}

impl Links {
    /// Adds a name for what `target` is at this moment; `position` is the link's position in the layer.
    pub(super) fn link<C>(
        &mut self,
        place: &mut Placement<'_, C>,
        root: NodeId,
        name: &[u8],
        target: &[u8],
        position: u32,
    ) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let refuse = |why: PathError| Error::Target { link: name.into(), target: target.into(), why };
        let target = normalise(target, &mut buffer).map_err(refuse)?;
        if name.is_empty() {
            return Err(Error::Root(name.into()));
        }
        let slot = match self.look_up(place, name, target, position)? {
            Some(node) if place.arena.is_directory(node) => {
                return Err(Error::LinkToDirectory { link: name.into(), target: target.into() });
            }
            Some(node) if place.arena.kind(node).is_some() => place.arena.slot(node),
            _ => return self.postpone(place, root, name, target),
        };
        // Count one more name meanwhile, because the new name may replace the only one it has.
        place.arena.inode_mut(slot).names += 1;
        let put = place.put(root, name, slot);
        place.arena.unlink(slot);
        put.map(|_| ()).map_err(|error| error.at(name))
    }

    /// What `target` leads to now: in the tree, or among entries hidden by later whiteouts of this layer.
    fn look_up<C>(
        &self,
        place: &mut Placement<'_, C>,
        name: &[u8],
        target: &[u8],
        position: u32,
    ) -> Result<Option<NodeId>, Error> {
        let root = match (whiteout_kind(target), self.bookkeeping) {
            (Ok(Some(WhiteoutKind::Bookkeeping)), Some(bookkeeping)) => bookkeeping,
            _ => NodeId::ROOT,
        };
        place.allowance.member(target.len());
        place.find(root, target, position).map_err(|error| error.at(name))
    }

    /// Adds the name now, in its place in the order (F9), with a placeholder for the target's inode.
    fn postpone<C>(
        &mut self,
        place: &mut Placement<'_, C>,
        root: NodeId,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), Error> {
        let slot = place
            .arena
            .add_inode(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, SlotState::Pending)
            .map_err(|error| error.at(name))?;
        if let Some(node) = place.put(root, name, slot).map_err(|error| error.at(name))? {
            self.by_slot.insert(slot, self.pending.len());
            self.pending.push(PendingLink { node, slot, target: target.into(), unseen: root != NodeId::ROOT });
        }
        Ok(())
    }

    /// At the end of the layer, resolves links that precede their targets.
    pub(super) fn resolve_pending<C>(&self, place: &mut Placement<'_, C>, position: u32) -> Result<(), Error> {
        for at in 0..self.pending.len() {
            if self.pending[at].unseen {
                continue;
            }
            // Pending links to pending links: resolve the last of a chain first.
            let mut chain = vec![at];
            while let Some(&at) = chain.last() {
                if !self.is_pending(place.arena, at) {
                    chain.pop();
                    continue;
                }
                match self.target_of(place, at, position)? {
                    Target::Inode(slot) => {
                        self.join(place.arena, at, slot);
                        chain.pop();
                    }
                    Target::Link(next) if chain.len() <= self.pending.len() => chain.push(next),
                    Target::Link(_) | Target::Nothing => {
                        let (link, target) = self.names(place.arena, at);
                        return Err(Error::LinkToNothing { link, target });
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the link has been neither resolved nor replaced by a later entry.
    fn is_pending<C>(&self, arena: &Arena<C>, at: usize) -> bool {
        let link = &self.pending[at];
        arena.leads_to(link.node, link.slot)
            && matches!(arena.inode(link.slot).state, SlotState::Pending)
            && self.by_slot.get(&link.slot) == Some(&at)
    }

    fn target_of<C>(&self, place: &mut Placement<'_, C>, at: usize, position: u32) -> Result<Target, Error> {
        let link = &self.pending[at];
        let Some(node) = self.look_up(place, &link.target, &link.target, position)? else {
            return Ok(Target::Nothing);
        };
        let slot = place.arena.slot(node);
        match &place.arena.inode(slot).state {
            SlotState::Is(NodeKind::Directory) => {
                let (link, target) = self.names(place.arena, at);
                Err(Error::LinkToDirectory { link, target })
            }
            SlotState::Is(_) => Ok(Target::Inode(slot)),
            SlotState::Pending => Ok(self.by_slot.get(&slot).map_or(Target::Nothing, |at| Target::Link(*at))),
            SlotState::Free => Ok(Target::Nothing),
        }
    }

    fn join<C>(&self, arena: &mut Arena<C>, at: usize, slot: Slot) {
        let PendingLink { node, slot: stand_in, .. } = self.pending[at];
        arena.inode_mut(slot).names += 1;
        arena.set_slot(node, slot.0);
        arena.unlink(stand_in);
    }

    /// Both ends, for a message.
    fn names<C>(&self, arena: &Arena<C>, at: usize) -> (Box<[u8]>, Box<[u8]>) {
        let link = &self.pending[at];
        let mut path = Vec::new();
        arena.path(link.node, &mut path);
        (path.into(), link.target.clone())
    }
}
