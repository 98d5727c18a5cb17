//! The blocks at fixed locations: superblocks, group descriptors, and space for more descriptors.
//!
//! Their size must be known before the first data block is written; everything else goes into the space between them,
//! in any order.

use super::block_group::{DESCRIPTORS_PER_BLOCK, GROUP_BLOCKS, MAX_BLOCKS, descriptor_blocks, groups, has_superblock};

/// The number of descriptor blocks, used or reserved, of an image of unknown size: enough for 1 TiB.
const GROWTH_DESCRIPTOR_BLOCKS: u64 = 64;
/// By which factor an image must still be able to grow if the reserve is cut to fit the last group.
const LEAST_GROWTH: u64 = 16;

/// The blocks at the start of group 0 and the backup groups: superblock and descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReservedBlocks {
    /// The number of blocks for group descriptors after each superblock, used or reserved.
    descriptor_blocks: u64,
}

impl ReservedBlocks {
    /// For an image of unknown size.
    pub(crate) const fn growing() -> Self {
        Self { descriptor_blocks: GROWTH_DESCRIPTOR_BLOCKS }
    }

    /// For an image of at most `blocks` blocks; also returns how many of them the file system covers.
    ///
    /// The reserve is that of `mke2fs`: descriptors for 1024 times the size. If the last group is a backup group that
    /// cannot hold it, the reserve is cut; if it cannot even hold the descriptors, or the remaining reserve would be
    /// too small, the file system ends before that group.
    pub(crate) fn for_blocks(blocks: u64) -> (Self, u64) {
        let mut blocks = blocks.min(MAX_BLOCKS);
        loop {
            let groups = groups(blocks);
            let used = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
            let reach = if blocks < MAX_BLOCKS / 1024 { blocks * 1024 } else { MAX_BLOCKS };
            let reserved = (descriptor_blocks(reach) - used).min(1024);
            let rest = blocks % GROUP_BLOCKS;
            if rest == 0 || groups == 1 || !has_superblock(groups - 1) || rest > used + reserved {
                return (Self { descriptor_blocks: used + reserved }, blocks);
            }
            let goal = blocks * LEAST_GROWTH;
            if rest > if goal <= MAX_BLOCKS { descriptor_blocks(goal) } else { used } {
                return (Self { descriptor_blocks: rest - 1 }, blocks);
            }
            blocks -= rest;
        }
    }

    /// The number of blocks for group descriptors after each superblock, used or reserved.
    pub(crate) const fn descriptor_blocks(self) -> u64 {
        self.descriptor_blocks
    }

    /// The number of blocks at the start of a group that are not available: superblock and descriptors.
    pub(crate) fn blocks_in(self, group: u64) -> u64 {
        if has_superblock(group) { 1 + self.descriptor_blocks } else { 0 }
    }

    /// The number of blocks that the descriptors can describe.
    pub(crate) const fn limit(self) -> u64 {
        let blocks = self.descriptor_blocks * DESCRIPTORS_PER_BLOCK * GROUP_BLOCKS;
        if blocks < MAX_BLOCKS { blocks } else { MAX_BLOCKS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_that_of_mke2fs() {
        // Blocks, "Reserved GDT blocks" of mke2fs 1.47.0 -b 4096 -O ^64bit.
        for (blocks, reserved) in [(256, 0), (32_768, 7), (76_800, 18), (1 << 20, 255), (1 << 22, 1023), (1 << 28, 960)]
        {
            let (reserved_blocks, covered) = ReservedBlocks::for_blocks(blocks);
            assert_eq!(covered, blocks);
            assert_eq!(reserved_blocks.descriptor_blocks() - descriptor_blocks(blocks), reserved, "{blocks} blocks");
        }
    }

    #[test]
    fn fixed_parts_fit_their_group_at_every_size() {
        let near_groups = (1..=130).flat_map(|group| (0..1100).map(move |more| group * GROUP_BLOCKS + more));
        let huge = (0..1100).map(|more| 117_649 * GROUP_BLOCKS + more);
        for blocks in (2..70_000).chain(near_groups).chain(huge).chain([MAX_BLOCKS - 1, MAX_BLOCKS, MAX_BLOCKS + 1]) {
            let (reserved_blocks, covered) = ReservedBlocks::for_blocks(blocks);
            assert!(covered <= blocks.min(MAX_BLOCKS));
            assert!(blocks - covered <= 1 + groups(blocks) / 8, "{covered} of {blocks}");
            let last = groups(covered) - 1;
            if last > 0 {
                assert!(covered - last * GROUP_BLOCKS >= reserved_blocks.blocks_in(last), "{blocks} blocks");
            }
            assert!(reserved_blocks.limit() >= covered);
            assert!(
                reserved_blocks.limit() >= covered * LEAST_GROWTH || covered * LEAST_GROWTH > MAX_BLOCKS,
                "{blocks} blocks"
            );
        }
    }

    #[test]
    fn only_a_last_group_too_small_for_descriptors_is_left_out() {
        for (blocks, covered) in [
            (GROUP_BLOCKS + 1, GROUP_BLOCKS),
            (GROUP_BLOCKS + 2, GROUP_BLOCKS + 2),
            (2 * GROUP_BLOCKS + 1, 2 * GROUP_BLOCKS + 1),
            (3 * GROUP_BLOCKS + 1, 3 * GROUP_BLOCKS),
        ] {
            assert_eq!(ReservedBlocks::for_blocks(blocks).1, covered, "{blocks}");
        }
    }
}
