//! Extent trees, which map the blocks of an inode, of any depth.
//!
//! The leaves are [`extent`](super::extent)s. Format: "Extent Tree" in the kernel's ext4 documentation. The root in the
//! inode has 4 entries, each tree block 340. Nodes are filled completely: `e2fsck` complains about a tree that could be
//! smaller.

use arcbox_ext4::constants::{EXTENT_HEADER_MAGIC, INODE_BLOCK_SIZE};
use arcbox_ext4::types::{ExtentHeader, ExtentIndex, ExtentLeaf, ExtentTail};

use super::checksum::ChecksumSeed;
use super::extent::Extent;
use crate::ext4::number::{BLOCK, BlockNumber, exact};

/// The root of a tree, as stored in `i_block`.
pub(crate) type Root = [u8; INODE_BLOCK_SIZE];

const ENTRY: usize = ExtentLeaf::SIZE;
const ROOT_ENTRIES: usize = (INODE_BLOCK_SIZE - ExtentHeader::SIZE) / ENTRY;
/// The remaining four bytes hold the checksum.
const BLOCK_ENTRIES: usize = (BLOCK - ExtentHeader::SIZE) / ENTRY;

/// The number of blocks that the tree needs outside the inode.
pub(crate) fn tree_blocks(extents: &[Extent]) -> u64 {
    let mut entries: u64 = extents.iter().map(|extent| u64::from(extent.leaf_count())).sum();
    let mut blocks = 0;
    while entries > ROOT_ENTRIES as u64 {
        entries = entries.div_ceil(BLOCK_ENTRIES as u64);
        blocks += entries;
    }
    blocks
}

/// Builds the tree; `put` writes each of its [`tree_blocks`] and returns where.
///
/// `seed` is the inode's checksum seed, if there are checksums.
pub(crate) fn build<E>(
    extents: &[Extent],
    seed: Option<ChecksumSeed>,
    mut put: impl FnMut(&[u8; BLOCK]) -> Result<BlockNumber, E>,
) -> Result<Root, E> {
    let mut leaves = extents.iter().flat_map(|extent| extent.leaves()).map(|leaf| (leaf.block, encode_leaf(&leaf)));
    if tree_blocks(extents) == 0 {
        let mut root = [0; INODE_BLOCK_SIZE];
        fill(&mut root, 0, &leaves.by_ref().map(|(_, entry)| entry).collect::<Vec<_>>());
        return Ok(root);
    }
    let mut level = nodes(leaves, 0, seed, &mut put)?;
    let mut depth = 1;
    while level.len() > ROOT_ENTRIES {
        level = nodes(level.into_iter(), depth, seed, &mut put)?;
        depth += 1;
    }
    let mut root = [0; INODE_BLOCK_SIZE];
    fill(&mut root, depth, &level.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>());
    Ok(root)
}

/// Writes the blocks of a level; returns the entries of the level above.
fn nodes<E>(
    mut entries: impl Iterator<Item = (u32, [u8; ENTRY])>,
    depth: u16,
    seed: Option<ChecksumSeed>,
    put: &mut impl FnMut(&[u8; BLOCK]) -> Result<BlockNumber, E>,
) -> Result<Vec<(u32, [u8; ENTRY])>, E> {
    let mut above = Vec::new();
    let mut node = Vec::with_capacity(BLOCK_ENTRIES);
    let mut block = [0; BLOCK];
    loop {
        let mut first = None;
        node.clear();
        for (logical, entry) in entries.by_ref().take(BLOCK_ENTRIES) {
            first.get_or_insert(logical);
            node.push(entry);
        }
        let Some(first) = first else { return Ok(above) };
        block.fill(0);
        let tail = fill(&mut block, depth, &node);
        if let Some(seed) = seed {
            ExtentTail { checksum: seed.sum(&block[..tail]) }.write_to(&mut block[tail..]);
        }
        let index = ExtentIndex { block: first, leaf_lo: put(&block)?.get(), leaf_hi: 0, unused: 0 };
        let mut entry = [0; ENTRY];
        index.write_to(&mut entry);
        above.push((first, entry));
    }
}

/// Writes header and entries into a node of any size. Returns where the space for entries ends.
fn fill(node: &mut [u8], depth: u16, entries: &[[u8; ENTRY]]) -> usize {
    let room = (node.len() - ExtentHeader::SIZE) / ENTRY;
    let header = ExtentHeader {
        magic: EXTENT_HEADER_MAGIC,
        entries: exact(entries.len()),
        max: exact(room),
        depth,
        generation: 0,
    };
    header.write_to(node);
    for (place, entry) in node[ExtentHeader::SIZE..].chunks_exact_mut(ENTRY).zip(entries) {
        place.copy_from_slice(entry);
    }
    ExtentHeader::SIZE + room * ENTRY
}

fn encode_leaf(leaf: &ExtentLeaf) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    leaf.write_to(&mut entry);
    entry
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::convert::Infallible;

    use super::*;

    fn extents(count: u32) -> Vec<Extent> {
        (0..count).map(|n| Extent { logical: n * 2, start: BlockNumber::new(1000 + n * 3), len: 1 }).collect()
    }

    #[test]
    fn the_blocks_counted_are_the_blocks_written() {
        for count in [0, 1, 4, 5, 340, 341, 1360, 1361, 340 * 340, 340 * 340 * 4 + 1] {
            let extents = extents(count);
            let mut written = 0;
            let root = build(&extents, Some(ChecksumSeed::NONE), |_| {
                written += 1;
                Ok::<_, Infallible>(BlockNumber::new(written))
            })
            .unwrap();
            assert_eq!(u64::from(written), tree_blocks(&extents), "{count} extents");
            assert_eq!(root[6] > 0, count > 4, "depth");
        }
    }
}
