//! The blocks of a directory index, a hash tree: `dx_root` and `dx_node`.
//!
//! Format: "Hash Tree Directories" in the kernel's ext4 documentation. The leaves are [`dir_block`](super::dir_block)s.

use super::checksum::ChecksumSeed;
use super::dir_entry::{EXT4_FT_DIR, put_entry};
use super::directory::{DirFormat, DirOwner};
use crate::ext4::number::{BLOCK, exact};

/// Where the pairs of hash and block start in the root: after `.`, `..` and `dx_root_info`.
const ROOT_START: usize = 32;
/// Where they start in an inner node: after an empty entry that fills the block.
const NODE_START: usize = 8;
/// `dx_entry`: hash and block.
const PAIR: usize = 8;
/// `dx_tail`: reserved word and checksum.
const TAIL: usize = 8;
/// The hash in an index; the superblock says whether it is signed.
pub(crate) const DX_HASH_HALF_MD4: u8 = 1;

/// How many pairs fit into the root.
pub(crate) fn root_limit(format: &DirFormat) -> usize {
    limit(ROOT_START, format.checksum_seed.is_some())
}

/// How many pairs fit into an inner node.
pub(crate) fn node_limit(format: &DirFormat) -> usize {
    limit(NODE_START, format.checksum_seed.is_some())
}

/// `dx_root`, with `levels` of inner nodes between it and the leaves. Each pair is a hash and a block of the directory.
pub(crate) fn root(
    owner: DirOwner,
    levels: u8,
    seed: Option<ChecksumSeed>,
    pairs: impl ExactSizeIterator<Item = (u32, u32)>,
) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_entry(&mut block, 0, 12, b".", Some(owner.inode), EXT4_FT_DIR);
    put_entry(&mut block, 12, BLOCK - 12, b"..", Some(owner.parent), EXT4_FT_DIR);
    // dx_root_info: a reserved word, hash_version, info_length, indirect_levels, unused_flags.
    block[24..32].copy_from_slice(&[0, 0, 0, 0, DX_HASH_HALF_MD4, 8, levels, 0]);
    put_pairs(&mut block, ROOT_START, seed, pairs);
    block
}

/// `dx_node`
pub(crate) fn inner_node(seed: Option<ChecksumSeed>, pairs: impl ExactSizeIterator<Item = (u32, u32)>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_entry(&mut block, 0, BLOCK, b"", None, 0);
    put_pairs(&mut block, NODE_START, seed, pairs);
    block
}

/// How many pairs fit into a block of the index.
fn limit(start: usize, checksums: bool) -> usize {
    let tail = if checksums { TAIL } else { 0 };
    (BLOCK - start - tail) / PAIR
}

/// Writes the pairs and the checksum, with limit and count in place of the first hash, which is never needed.
fn put_pairs(
    block: &mut [u8; BLOCK],
    start: usize,
    seed: Option<ChecksumSeed>,
    pairs: impl ExactSizeIterator<Item = (u32, u32)>,
) {
    let count = pairs.len();
    let mut at = start;
    for (hash, leaf) in pairs {
        block[at..at + 4].copy_from_slice(&hash.to_le_bytes());
        block[at + 4..at + 8].copy_from_slice(&leaf.to_le_bytes());
        at += PAIR;
    }
    let limit = limit(start, seed.is_some());
    block[start..start + 2].copy_from_slice(&exact::<u16, _>(limit).to_le_bytes());
    block[start + 2..start + 4].copy_from_slice(&exact::<u16, _>(count).to_le_bytes());
    if let Some(seed) = seed {
        // It covers the used pairs, then the tail with its checksum as zero.
        let sum = seed.then(&block[..at]).sum(&[0; TAIL]);
        let tail = start + limit * PAIR;
        block[tail + 4..tail + 8].copy_from_slice(&sum.to_le_bytes());
    }
}
