//! How the entries of a large directory are divided into the leaves of its index, which has one or two levels.
//!
//! The order of the blocks is: the root, the inner nodes if there are any, the leaves by hash.

use std::ops::Range;

use crate::ext4::format::dir_block::DirBlockBuilder;
use crate::ext4::format::dir_entry::{DirEntry, record_length};
use crate::ext4::format::directory::DirFormat;
use crate::ext4::format::htree::{node_limit, root_limit};
use crate::ext4::format::name_hash::half_md4;
use crate::ext4::number::exact;

/// A leaf: the first of its entries in hash order, and its hash in the index.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    first: u32,
    hash: u32,
}

/// The entries of a directory in hash order, divided into leaves.
#[derive(Debug)]
pub(crate) struct DirIndex {
    /// Positions in the list of entries.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
    /// The number of inner nodes; 0 if the root points at the leaves.
    nodes: usize,
}

/// There are more entries than an index of two levels can hold.
pub(crate) struct TooMany {
    /// How many blocks the entries fill.
    pub(crate) leaves: usize,
    /// How many blocks an index of two levels can address.
    pub(crate) limit: usize,
}

impl DirIndex {
    pub(crate) fn new(entries: &[DirEntry<'_>], format: &DirFormat) -> Result<Self, TooMany> {
        let (root_limit, node_limit) = (root_limit(format), node_limit(format));
        let limit = root_limit * node_limit;

        let mut hashed = hashes(entries, format).ok_or(TooMany { leaves: entries.len(), limit })?;
        // By hash, and by name if both hashes collide, so that the original order does not matter.
        hashed.sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| entries[a.2 as usize].name.cmp(entries[b.2 as usize].name))
        });
        // Leave a fifth of each leaf free, as e2fsck -D does, so that the first new names split nothing.
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

    /// The number of blocks of the directory: index and leaves.
    pub(crate) fn blocks(&self) -> u32 {
        block(self.first_leaf() + self.leaves.len())
    }

    /// The number of levels of inner nodes.
    pub(crate) fn levels(&self) -> u8 {
        u8::from(self.nodes > 0)
    }

    /// The hashes and blocks in the root.
    pub(crate) fn root(&self) -> Vec<(u32, u32)> {
        if self.nodes == 0 {
            return self.pairs(0..self.leaves.len()).collect();
        }
        (0..self.nodes).map(|node| (self.leaves[self.share(node).start].hash, block(1 + node))).collect()
    }

    /// The hashes and blocks in each inner node, in order.
    pub(crate) fn inner_nodes(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = (u32, u32)>> {
        (0..self.nodes).map(|node| self.pairs(self.share(node)))
    }

    /// The entries of each leaf, in order, as positions in the list.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &[u32]> {
        self.leaves.iter().enumerate().map(|(at, start)| {
            let end = self.leaves.get(at + 1).map_or(self.order.len(), |next| next.first as usize);
            &self.order[start.first as usize..end]
        })
    }

    fn first_leaf(&self) -> usize {
        1 + self.nodes
    }

    /// The leaves of an inner node: all nodes get the same number, give or take one.
    fn share(&self, node: usize) -> Range<usize> {
        let (each, more) = (self.leaves.len() / self.nodes, self.leaves.len() % self.nodes);
        let start = node * each + node.min(more);
        start..start + each + usize::from(node < more)
    }

    fn pairs(&self, leaves: Range<usize>) -> impl ExactSizeIterator<Item = (u32, u32)> {
        leaves.map(|leaf| (self.leaves[leaf].hash, block(self.first_leaf() + leaf)))
    }
}

/// Major hash, minor hash and position of every entry; `None` if there are too many to count.
fn hashes(entries: &[DirEntry<'_>], format: &DirFormat) -> Option<Vec<(u32, u32, u32)>> {
    u32::try_from(entries.len()).ok()?;
    let hash = |(at, entry): (u32, &DirEntry<'_>)| {
        let hash = half_md4(entry.name, format.hash_seed);
        (hash.major, hash.minor, at)
    };
    Some((0..).zip(entries).map(hash).collect())
}

/// Divides entries in hash order into leaves of at most `room` bytes.
fn cut(hashed: &[(u32, u32, u32)], entries: &[DirEntry<'_>], room: usize) -> Vec<Leaf> {
    let mut leaves = vec![Leaf { first: 0, hash: 0 }];
    let mut used = 0;
    let mut before = 0;
    for (first, &(hash, _, at)) in (0..).zip(hashed) {
        let length = record_length(entries[at as usize].name.len());
        if used + length > room {
            // The low bit says that the previous leaf has this hash too.
            leaves.push(Leaf { first, hash: hash | u32::from(hash == before) });
            used = 0;
        }
        used += length;
        before = hash;
    }
    leaves
}

/// The number of a block within a directory: below 2^20, the limit of an index of two levels.
fn block(number: usize) -> u32 {
    exact(number)
}
