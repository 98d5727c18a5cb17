//! The index of a large directory: a hash tree of one or two levels above the leaves.
//!
//! Format: "Hash Tree Directories" in the kernel's ext4 documentation. The blocks stand in this order: the root
//! (`dx_root`), the inner nodes (`dx_node`) if there are any, the leaves by hash.

use crate::ext4::format::dir_block::{BLOCK, LeafBuilder, crc, inode_seed, put_entry, record_length};
use crate::ext4::format::name_hash::half_md4;
use crate::ext4::layout::directory::{DirEntry, DirError, DirFormat, DirOwner, FileType};

/// Where the pairs of hash and block start in the root: after `.`, `..` and `dx_root_info`.
const ROOT_START: usize = 32;
/// Where they start in an inner node: after an empty entry that fills the block.
const NODE_START: usize = 8;
/// `dx_entry`: hash and block.
const PAIR: usize = 8;
/// `dx_tail`: reserved word and checksum.
const TAIL: usize = 8;
/// `DX_HASH_HALF_MD4`; whether it is signed stands in the superblock.
const HALF_MD4: u8 = 1;
/// Blocks handed out at once.
const BATCH: usize = 64;

/// A leaf: the first of its entries in hash order, and the hash that the index has for it.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    first: u32,
    hash: u32,
}

/// A directory's entries in hash order, cut into leaves.
#[derive(Debug)]
pub(crate) struct Index {
    /// Positions in the list of entries.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
    /// Inner nodes; 0 when the root points at the leaves.
    nodes: usize,
}

impl Index {
    pub(crate) fn new(entries: &[DirEntry<'_>], format: &DirFormat) -> Result<Self, DirError> {
        let root_limit = limit(ROOT_START, format);
        let node_limit = limit(NODE_START, format);
        let reach = root_limit * node_limit;

        let mut hashed = hashes(entries, format)?;
        // By hash; by name where both hashes collide, so that the order given does not matter.
        hashed.sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| entries[a.2 as usize].name.cmp(entries[b.2 as usize].name))
        });
        // A fifth of a leaf stays free, as e2fsck -D does it, so that the first new names split nothing.
        let capacity = LeafBuilder::capacity(format);
        let mut leaves = cut(&hashed, entries, capacity - capacity / 5);
        if leaves.len() > reach {
            leaves = cut(&hashed, entries, capacity);
        }
        if leaves.len() > reach {
            return Err(DirError::TooLarge { entries: entries.len(), leaves: leaves.len(), limit: reach });
        }
        let nodes = match leaves.len() {
            count if count <= root_limit => 0,
            count => count.div_ceil(node_limit - node_limit / 5).min(root_limit),
        };
        let order = hashed.into_iter().map(|(_, _, at)| at).collect();
        Ok(Self { order, leaves, nodes })
    }

    pub(crate) fn blocks(&self) -> u32 {
        number(1 + self.nodes + self.leaves.len())
    }

    pub(crate) fn write<E>(
        &self,
        entries: &[DirEntry<'_>],
        owner: DirOwner,
        format: &DirFormat,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let seed = format.checksum_seed.map(|seed| inode_seed(seed, owner.inode));
        let first_leaf = 1 + self.nodes;
        let mut block = [0; BLOCK];
        if self.nodes == 0 {
            root(&mut block, owner, 0, seed, self.pairs(0..self.leaves.len(), first_leaf));
            sink(&block)?;
        } else {
            let hashes = (0..self.nodes).map(|node| (self.leaves[self.share(node).start].hash, number(1 + node)));
            root(&mut block, owner, 1, seed, hashes);
            sink(&block)?;
            for node in 0..self.nodes {
                inner_node(&mut block, seed, self.pairs(self.share(node), first_leaf));
                sink(&block)?;
            }
        }
        self.write_leaves(entries, owner, format, sink)
    }

    fn write_leaves<E>(
        &self,
        entries: &[DirEntry<'_>],
        owner: DirOwner,
        format: &DirFormat,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut leaf = LeafBuilder::new(format, owner);
        let mut batch = vec![0; BATCH * BLOCK];
        let mut full = 0;
        for (at, start) in self.leaves.iter().enumerate() {
            let end = self.leaves.get(at + 1).map_or(self.order.len(), |next| next.first as usize);
            for &entry in &self.order[start.first as usize..end] {
                let entry = &entries[entry as usize];
                leaf.push(entry.name, entry.inode, entry.file_type);
            }
            leaf.finish(&mut batch[full * BLOCK..(full + 1) * BLOCK]);
            full += 1;
            if full == BATCH {
                sink(&batch)?;
                full = 0;
            }
        }
        if full > 0 { sink(&batch[..full * BLOCK]) } else { Ok(()) }
    }

    /// The leaves that an inner node points at: all nodes get the same number, give or take one.
    fn share(&self, node: usize) -> std::ops::Range<usize> {
        let (each, more) = (self.leaves.len() / self.nodes, self.leaves.len() % self.nodes);
        let start = node * each + node.min(more);
        start..start + each + usize::from(node < more)
    }

    fn pairs(&self, leaves: std::ops::Range<usize>, first_leaf: usize) -> impl ExactSizeIterator<Item = (u32, u32)> {
        leaves.map(move |leaf| (self.leaves[leaf].hash, number(first_leaf + leaf)))
    }
}

/// Major hash, minor hash and position of every entry.
fn hashes(entries: &[DirEntry<'_>], format: &DirFormat) -> Result<Vec<(u32, u32, u32)>, DirError> {
    let too_large = DirError::TooLarge { entries: entries.len(), leaves: entries.len(), limit: usize::MAX };
    u32::try_from(entries.len()).map_err(|_| too_large)?;
    let hash = |(at, entry): (u32, &DirEntry<'_>)| {
        let hash = half_md4(entry.name, format.hash_seed, format.hash_sign);
        (hash.major, hash.minor, at)
    };
    Ok((0..).zip(entries).map(hash).collect())
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

/// Pairs that fit a block of the index.
fn limit(start: usize, format: &DirFormat) -> usize {
    let tail = if format.checksum_seed.is_some() { TAIL } else { 0 };
    (BLOCK - start - tail) / PAIR
}

fn root(
    block: &mut [u8; BLOCK],
    owner: DirOwner,
    levels: u8,
    seed: Option<u32>,
    pairs: impl ExactSizeIterator<Item = (u32, u32)>,
) {
    block.fill(0);
    put_entry(block, 0, 12, b".", owner.inode, FileType::Directory as u8);
    put_entry(block, 12, BLOCK - 12, b"..", owner.parent, FileType::Directory as u8);
    // dx_root_info: a reserved word, hash_version, info_length, indirect_levels, unused_flags.
    block[24..32].copy_from_slice(&[0, 0, 0, 0, HALF_MD4, 8, levels, 0]);
    put_pairs(block, ROOT_START, seed, pairs);
}

fn inner_node(block: &mut [u8; BLOCK], seed: Option<u32>, pairs: impl ExactSizeIterator<Item = (u32, u32)>) {
    block.fill(0);
    put_entry(block, 0, BLOCK, b"", 0, 0);
    put_pairs(block, NODE_START, seed, pairs);
}

/// Puts limit and count in place of the first pair's hash, which is never needed, then the pairs and the checksum.
fn put_pairs(
    block: &mut [u8; BLOCK],
    start: usize,
    seed: Option<u32>,
    pairs: impl ExactSizeIterator<Item = (u32, u32)>,
) {
    let tail = if seed.is_some() { TAIL } else { 0 };
    let count = pairs.len();
    let mut at = start;
    for (hash, leaf) in pairs {
        block[at..at + 4].copy_from_slice(&hash.to_le_bytes());
        block[at + 4..at + 8].copy_from_slice(&leaf.to_le_bytes());
        at += PAIR;
    }
    let limit = (BLOCK - start - tail) / PAIR;
    block[start..start + 2].copy_from_slice(&u16::try_from(limit).unwrap_or(u16::MAX).to_le_bytes());
    block[start + 2..start + 4].copy_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    if let Some(seed) = seed {
        // The pairs in use, then the tail with its checksum as zero.
        let sum = crc(crc(seed, &block[..at]), &[0; TAIL]);
        let tail = start + limit * PAIR;
        block[tail + 4..tail + 8].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A block number within a directory: below 2^20, since an index of two levels reaches no further.
fn number(block: usize) -> u32 {
    u32::try_from(block).unwrap_or(u32::MAX)
}
