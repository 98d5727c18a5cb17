//! Block groups: 32,768 blocks each, some of which begin with a copy of the superblock and of the group descriptors
//! (`sparse_super`: 0, 1 and the powers of 3, 5 and 7).

/// The number of blocks in a group: as many as there are bits in a block.
pub(crate) const GROUP_BLOCKS: u64 = 32_768;
/// The number of group descriptors (32 bytes) in a block.
pub(crate) const DESCRIPTORS_PER_BLOCK: u64 = 128;
/// The highest number of blocks: block numbers and counts have 32 bits.
pub(crate) const MAX_BLOCKS: u64 = u32::MAX as u64;
/// All groups with a superblock below 2^17, the highest number of groups.
pub(super) const BACKUP_GROUPS: [u64; 25] = [
    0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343, 625, 729, 2187, 2401, 3125, 6561, 15_625, 16_807, 19_683, 59_049,
    78_125, 117_649,
];

/// Whether a group begins with superblock and descriptors.
pub(crate) fn has_superblock(group: u64) -> bool {
    BACKUP_GROUPS.binary_search(&group).is_ok()
}

/// The groups with a superblock among the first `groups`, including group 0.
pub(crate) fn superblock_groups(groups: u64) -> impl Iterator<Item = u64> {
    BACKUP_GROUPS.into_iter().take_while(move |&group| group < groups)
}

/// The number of groups for `blocks` blocks, including a partial last one.
pub(crate) const fn groups(blocks: u64) -> u64 {
    blocks.div_ceil(GROUP_BLOCKS)
}

/// The number of descriptor blocks for `blocks` blocks.
pub(crate) const fn descriptor_blocks(blocks: u64) -> u64 {
    groups(blocks).div_ceil(DESCRIPTORS_PER_BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive_has_superblock(group: u64) -> bool {
        let power_of = |base: u64| std::iter::successors(Some(1), |n| Some(n * base)).take(18).any(|n| n == group);
        group == 0 || power_of(3) || power_of(5) || power_of(7)
    }

    #[test]
    fn superblocks_stand_in_groups_0_1_and_powers_of_3_5_7() {
        for group in 0..=MAX_BLOCKS / GROUP_BLOCKS {
            assert_eq!(has_superblock(group), naive_has_superblock(group), "group {group}");
        }
        assert_eq!(superblock_groups(8).collect::<Vec<_>>(), [0, 1, 3, 5, 7]);
    }
}
