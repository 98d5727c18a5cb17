//! How a large directory's entries are cut into the leaves of its index: one or two levels above them.
//!
//! The blocks stand in this order: the root, the inner nodes if there are any, the leaves by hash.

use std::ops::Range;

use crate::ext4::format::dir_block::DirBlockBuilder;
use crate::ext4::format::dir_entry::{DirEntry, record_length};
use crate::ext4::format::directory::DirFormat;
use crate::ext4::format::htree::{node_limit, root_limit};
use crate::ext4::format::name_hash::half_md4;
use crate::ext4::number::exact;

/// A leaf: the first of its entries in hash order, and the hash that the index has for it.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    first: u32,
    hash: u32,
}

/// A directory's entries in hash order, cut into leaves.
#[derive(Debug)]
pub(crate) struct DirIndex {
    /// Positions in the list of entries.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
    /// Inner nodes; 0 when the root points at the leaves.
    nodes: usize,
}

/// More entries than two levels of index reach.
pub(crate) struct TooMany {
    /// Blocks that the entries fill.
    pub(crate) leaves: usize,
    /// Blocks that an index of two levels reaches.
    pub(crate) limit: usize,
}

impl DirIndex {
    pub(crate) fn new(entries: &[DirEntry<'_>], format: &DirFormat) -> Result<Self, TooMany> {
        let (root_limit, node_limit) = (root_limit(format), node_limit(format));
        let limit = root_limit * node_limit;

        let mut hashed = hashes(entries, format).ok_or(TooMany { leaves: entries.len(), limit })?;
        // By hash; by name where both hashes collide, so that the order given does not matter.
        hashed.sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| entries[a.2 as usize].name.cmp(entries[b.2 as usize].name))
        });
        // A fifth of a leaf stays free, as e2fsck -D does it, so that the first new names split nothing.
        let capacity = DirBlockBuilder::capacity(format);
        let mut leaves = cut(&hashed, entries, capacity - capacity / 5);
        if leaves.len() > limit {
            leaves = cut(&hashed, entries, capacity);
        }
        if leaves.len() > limit {
            return Err(TooMany { leaves: leaves.len(), limit });
        }
        let nodes = match leaves.len() {
            count if count <= root_limit => 0,
            count => count.div_ceil(node_limit - node_limit / 5).min(root_limit),
        };
        let order = hashed.into_iter().map(|(_, _, at)| at).collect();
        Ok(Self { order, leaves, nodes })
    }

    /// Blocks of the directory: the index and the leaves.
    pub(crate) fn blocks(&self) -> u32 {
        block(self.first_leaf() + self.leaves.len())
    }

    /// Levels of inner nodes.
    pub(crate) fn levels(&self) -> u8 {
        u8::from(self.nodes > 0)
    }

    /// What the root points at: hash and block.
    pub(crate) fn root(&self) -> Vec<(u32, u32)> {
        if self.nodes == 0 {
            return self.pairs(0..self.leaves.len()).collect();
        }
        (0..self.nodes).map(|node| (self.leaves[self.share(node).start].hash, block(1 + node))).collect()
    }

    /// What each inner node points at, in order.
    pub(crate) fn inner_nodes(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = (u32, u32)>> {
        (0..self.nodes).map(|node| self.pairs(self.share(node)))
    }

    /// The entries of each leaf, in order: positions in the list.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &[u32]> {
        self.leaves.iter().enumerate().map(|(at, start)| {
            let end = self.leaves.get(at + 1).map_or(self.order.len(), |next| next.first as usize);
            &self.order[start.first as usize..end]
        })
    }

    fn first_leaf(&self) -> usize {
        1 + self.nodes
    }

    /// The leaves that an inner node points at: all nodes get the same number, give or take one.
    fn share(&self, node: usize) -> Range<usize> {
        let (each, more) = (self.leaves.len() / self.nodes, self.leaves.len() % self.nodes);
        let start = node * each + node.min(more);
        start..start + each + usize::from(node < more)
    }

    fn pairs(&self, leaves: Range<usize>) -> impl ExactSizeIterator<Item = (u32, u32)> {
        leaves.map(|leaf| (self.leaves[leaf].hash, block(self.first_leaf() + leaf)))
    }
}

/// Major hash, minor hash and position of every entry, if these can be counted.
fn hashes(entries: &[DirEntry<'_>], format: &DirFormat) -> Option<Vec<(u32, u32, u32)>> {
    u32::try_from(entries.len()).ok()?;
    let hash = |(at, entry): (u32, &DirEntry<'_>)| {
        let hash = half_md4(entry.name, format.hash_seed, format.hash_sign);
        (hash.major, hash.minor, at)
    };
    Some((0..).zip(entries).map(hash).collect())
}

/// Cuts entries in hash order into leaves of at most `room` bytes.
fn cut(hashed: &[(u32, u32, u32)], entries: &[DirEntry<'_>], room: usize) -> Vec<Leaf> {
    let mut leaves = vec![Leaf { first: 0, hash: 0 }];
    let mut used = 0;
    let mut before = 0;
    for (first, &(hash, _, at)) in (0..).zip(hashed) {
        let length = record_length(entries[at as usize].name.len());
        if used + length > room {
            // The low bit says that the leaf before holds this hash too.
            leaves.push(Leaf { first, hash: hash | u32::from(hash == before) });
            used = 0;
        }
        used += length;
        before = hash;
    }
    leaves
}

/// A block's number within a directory: below 2^20, since an index of two levels reaches no further.
fn block(number: usize) -> u32 {
    exact(number)
}
