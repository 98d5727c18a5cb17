//! Nodes and inodes in flat arrays, indexed by number.

use std::hash::{BuildHasher, RandomState};

use super::names::Names;
use super::placement_error::PlacementError;
use super::table::Table;
use crate::meta::{Metadata, NodeKind, Xattrs};

/// The number of a name. A directory has only one name, so this also identifies the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u32);

impl NodeId {
    pub(super) const ROOT: Self = Self(0);
}

/// The index of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot(pub(super) u32);

const NONE: u32 = u32::MAX;

/// Up to so many bytes, names of removed nodes stay.
const REMOVED_NAMES: usize = 1 << 20;

/// All names and inodes of a tree.
#[derive(Clone, Debug)]
pub(super) struct Arena<C> {
    nodes: Vec<Node>,
    inodes: Vec<Inode<C>>,
    /// All names, one after the other, including some of removed nodes.
    names: Names,
    /// How many bytes of them are of removed nodes.
    removed_names: usize,
    table: Table,
    free_node: u32,
    free_inode: u32,
    /// Numbers of removed nodes are not reused while hidden entries may refer to them.
    holds_numbers: bool,
    /// Randomly keyed, because names are untrusted.
    hasher: RandomState,
}

/// A name in a directory: 32 bytes.
#[derive(Clone, Debug)]
struct Node {
    parent: u32,
    inode: u32,
    hash: u32,
    /// The next and previous name in the same directory; if free, the next free node.
    next: u32,
    prev: u32,
    name_len: u32,
    name_at: u64,
}

/// An inode, or a free slot for one.
#[derive(Clone, Debug)]
pub(super) struct Inode<C> {
    pub(super) meta: Metadata,
    pub(super) xattrs: Xattrs,
    pub(super) state: SlotState<C>,
    /// The number of its names.
    pub(super) names: u32,
    /// A directory's first child; if free, the next free slot.
    child: u32,
}

/// What a slot holds.
#[derive(Clone, Debug)]
pub(super) enum SlotState<C> {
    /// An inode.
    Is(NodeKind<C>),
    /// A hard link whose target has not been seen yet (F8).
    Pending,
    /// Nothing.
    Free,
}

impl<C> Arena<C> {
    pub(super) fn new() -> Self {
        let root = Node { parent: 0, inode: 0, hash: 0, next: NONE, prev: NONE, name_len: 0, name_at: 0 };
        let mut arena = Self {
            nodes: vec![root],
            inodes: Vec::new(),
            names: Names::default(),
            removed_names: 0,
            table: Table::default(),
            free_node: NONE,
            free_inode: NONE,
            holds_numbers: false,
            hasher: RandomState::new(),
        };
        arena.inodes.push(Inode::new(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, SlotState::Is(NodeKind::Directory)));
        arena.inodes[0].names = 1;
        arena
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn slot(&self, id: NodeId) -> Slot {
        Slot(self.node(id).inode)
    }

    pub(super) fn set_slot(&mut self, id: NodeId, slot: u32) {
        self.nodes[id.0 as usize].inode = slot;
    }

    pub(super) fn inode(&self, slot: Slot) -> &Inode<C> {
        &self.inodes[slot.0 as usize]
    }

    pub(super) fn inode_mut(&mut self, slot: Slot) -> &mut Inode<C> {
        &mut self.inodes[slot.0 as usize]
    }

    pub(super) fn slot_count(&self) -> usize {
        self.inodes.len()
    }

    /// What a name refers to; `None` for a pending link.
    pub(super) fn kind(&self, id: NodeId) -> Option<&NodeKind<C>> {
        match &self.inode(self.slot(id)).state {
            SlotState::Is(kind) => Some(kind),
            SlotState::Pending | SlotState::Free => None,
        }
    }

    pub(super) fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.kind(id), Some(NodeKind::Directory))
    }

    /// The directory that contains this name; the root contains itself.
    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        NodeId(self.node(id).parent)
    }

    pub(super) fn name(&self, id: NodeId) -> &[u8] {
        let Node { name_at, name_len, .. } = *self.node(id);
        self.names.get(name_at, name_len)
    }

    pub(super) fn first_child(&self, dir: NodeId) -> Option<NodeId> {
        some(self.inode(self.slot(dir)).child)
    }

    pub(super) fn first_child_of(&self, dir: Slot) -> Option<NodeId> {
        some(self.inode(dir).child)
    }

    pub(super) fn next_sibling(&self, id: NodeId) -> Option<NodeId> {
        some(self.node(id).next)
    }

    /// The entry `name` in `dir`.
    pub(super) fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        self.find(&self.table, dir, name)
    }

    /// Looks an entry up in another table of this arena's nodes.
    pub(super) fn find(&self, table: &Table, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        let hash = self.hash(dir, name);
        let is_it = |id: u32| {
            let node = &self.nodes[id as usize];
            node.hash == hash && node.parent == dir.0 && self.name(NodeId(id)) == name
        };
        table.find(hash, is_it).map(NodeId)
    }

    /// Adds a detached node to another table.
    pub(super) fn insert_into(&self, table: &mut Table, id: NodeId) {
        table.insert(id.0, |id| self.nodes[id as usize].hash);
    }

    fn hash(&self, dir: NodeId, name: &[u8]) -> u32 {
        let hash = self.hasher.hash_one((dir.0, name));
        // The low half of a good hash is a good hash.
        #[allow(clippy::cast_possible_truncation, reason = "see above")]
        let low = hash as u32;
        low
    }

    /// Adds an inode without a name.
    pub(super) fn add_inode(
        &mut self,
        meta: Metadata,
        xattrs: Xattrs,
        state: SlotState<C>,
    ) -> Result<Slot, PlacementError> {
        let inode = Inode::new(meta, xattrs, state);
        if let Some(place) = self.inodes.get_mut(self.free_inode as usize) {
            let slot = Slot(self.free_inode);
            self.free_inode = place.child;
            *place = inode;
            return Ok(slot);
        }
        let slot = u32::try_from(self.inodes.len()).ok().filter(|slot| *slot != NONE).ok_or(PlacementError::TooMany)?;
        self.inodes.push(inode);
        Ok(Slot(slot))
    }

    /// Gives an inode the name `name` in `dir`, which must be free.
    pub(super) fn attach(&mut self, dir: NodeId, name: &[u8], slot: Slot) -> Result<NodeId, PlacementError> {
        let name_len = u32::try_from(name.len()).map_err(|_| PlacementError::TooMany)?;
        if self.removed_names > REMOVED_NAMES.max(self.names.len() / 2) {
            self.drop_removed_names();
        }
        let name_at = self.names.push(name);
        let head = self.inode(self.slot(dir)).child;
        let hash = self.hash(dir, name);
        let node = Node { parent: dir.0, inode: slot.0, hash, next: head, prev: NONE, name_len, name_at };
        let id = self.place(node)?;
        if let Some(head) = some(head) {
            self.nodes[head.0 as usize].prev = id.0;
        }
        let dir = self.slot(dir);
        self.inode_mut(dir).child = id.0;
        self.inode_mut(slot).names += 1;
        let nodes = &self.nodes;
        self.table.insert(id.0, |id| nodes[id as usize].hash);
        Ok(id)
    }

    /// Adds a directory without a parent, for entries that must stay invisible. It is removed by [`Arena::release`].
    pub(super) fn add_hidden_root(&mut self) -> Result<NodeId, PlacementError> {
        let slot = self.add_inode(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, SlotState::Is(NodeKind::Directory))?;
        self.inode_mut(slot).names = 1;
        let node = Node { parent: NONE, inode: slot.0, hash: 0, next: NONE, prev: NONE, name_len: 0, name_at: 0 };
        let id = self.place(node)?;
        self.nodes[id.0 as usize].parent = id.0;
        Ok(id)
    }

    /// Sets whether the numbers of removed nodes are reused.
    pub(super) fn hold_numbers(&mut self, hold: bool) {
        self.holds_numbers = hold;
    }

    fn place(&mut self, node: Node) -> Result<NodeId, PlacementError> {
        let free = if self.holds_numbers { None } else { self.nodes.get_mut(self.free_node as usize) };
        if let Some(place) = free {
            let id = NodeId(self.free_node);
            self.free_node = place.next;
            *place = node;
            return Ok(id);
        }
        let id = u32::try_from(self.nodes.len()).ok().filter(|id| *id != NONE).ok_or(PlacementError::TooMany)?;
        self.nodes.push(node);
        Ok(NodeId(id))
    }

    /// Removes a name from its directory. The node and everything below it exist until [`Arena::release`].
    pub(super) fn detach(&mut self, id: NodeId) {
        let Node { parent, next, prev, .. } = *self.node(id);
        match some(prev) {
            Some(prev) => self.nodes[prev.0 as usize].next = next,
            None => {
                let dir = self.slot(NodeId(parent));
                self.inode_mut(dir).child = next;
            }
        }
        if let Some(next) = some(next) {
            self.nodes[next.0 as usize].prev = prev;
        }
        let nodes = &self.nodes;
        self.table.remove(id.0, |id| nodes[id as usize].hash);
    }

    /// Frees a detached name and all names below it, and inodes that have no other name.
    pub(super) fn release(&mut self, id: NodeId) {
        let mut ended = vec![id];
        while let Some(id) = ended.pop() {
            let slot = self.slot(id);
            if self.is_directory(id) {
                let mut child = self.inode(slot).child;
                while let Some(node) = some(child) {
                    let nodes = &self.nodes;
                    self.table.remove(node.0, |id| nodes[id as usize].hash);
                    child = self.node(node).next;
                    ended.push(node);
                }
            }
            self.unlink(slot);
            let node = &mut self.nodes[id.0 as usize];
            self.removed_names += node.name_len as usize;
            node.next = self.free_node;
            node.inode = NONE;
            self.free_node = id.0;
        }
    }

    /// Closes the gaps that removed nodes have left between the names: a few symlinks can make and remove long names again
    /// and again.
    fn drop_removed_names(&mut self) {
        let mut names = Names::with_capacity(self.names.len() - self.removed_names);
        for id in (0..self.nodes.len()).filter_map(|at| u32::try_from(at).ok()).map(NodeId) {
            if self.node(id).inode != NONE {
                let name_at = names.push(self.name(id));
                self.nodes[id.0 as usize].name_at = name_at;
            }
        }
        self.names = names;
        self.removed_names = 0;
    }

    /// Removes one name of an inode.
    pub(super) fn unlink(&mut self, slot: Slot) {
        let free = self.free_inode;
        let inode = self.inode_mut(slot);
        inode.names -= 1;
        if inode.names == 0 {
            *inode = Inode::new(Metadata::IMPLIED_DIRECTORY, Xattrs::NONE, SlotState::Free);
            inode.child = free;
            self.free_inode = slot.0;
        }
    }

    /// [`Arena::detach`] and [`Arena::release`].
    pub(super) fn remove(&mut self, id: NodeId) {
        self.detach(id);
        self.release(id);
    }

    /// Whether `id` still refers to `slot`.
    pub(super) fn leads_to(&self, id: NodeId, slot: Slot) -> bool {
        self.node(id).inode == slot.0
    }

    /// A copy in which nothing can be looked up by name; it shares the names.
    pub(super) fn snapshot(&mut self) -> Self
    where
        C: Clone,
    {
        self.names.share();
        let table = std::mem::take(&mut self.table);
        let copy = self.clone();
        self.table = table;
        copy
    }

    /// Nothing will be looked up by name any more.
    pub(super) fn end_lookups(&mut self) {
        self.table = Table::default();
    }

    /// Sorts the children of every directory by name, byte-wise (T1).
    pub(super) fn sort(&mut self) {
        let mut children = Vec::new();
        for at in 0..self.inodes.len() {
            if !matches!(self.inodes[at].state, SlotState::Is(NodeKind::Directory)) {
                continue;
            }
            let mut child = self.inodes[at].child;
            while let Some(node) = some(child) {
                children.push(node);
                child = self.node(node).next;
            }
            children.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)));
            let mut next = NONE;
            for node in children.drain(..).rev() {
                self.nodes[node.0 as usize].next = next;
                next = node.0;
            }
            self.inodes[at].child = next;
        }
    }

    /// The memory that names take, in bytes.
    #[cfg(test)]
    pub(super) fn names_size(&self) -> usize {
        self.names.size()
    }

    /// Writes the path of a name, without leading `/`, into `path`.
    pub(super) fn path(&self, id: NodeId, path: &mut Vec<u8>) {
        path.clear();
        let mut at = id;
        while self.parent(at) != at {
            // Backwards, reversed at the end.
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(self.name(at).iter().rev());
            at = self.parent(at);
        }
        path.reverse();
    }
}

impl<C> Inode<C> {
    fn new(meta: Metadata, xattrs: Xattrs, state: SlotState<C>) -> Self {
        Self { meta, xattrs, state, names: 0, child: NONE }
    }
}

fn some(id: u32) -> Option<NodeId> {
    (id != NONE).then_some(NodeId(id))
}

/// The bytes that one entry takes besides its name, including a full hash table.
#[cfg(test)]
pub(super) const fn size_per_node<C>() -> usize {
    size_of::<Node>() + size_of::<Inode<C>>() + 6
}
