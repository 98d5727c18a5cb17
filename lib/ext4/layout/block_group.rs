//! Where the fixed parts of the file system stand: arithmetic on block numbers, no I/O.
//!
//! A group is 32,768 blocks. Group 0 and the backup groups (`sparse_super`: 1 and the powers of 3, 5 and 7) begin
//! with a superblock, the group descriptors and blocks reserved for more descriptors. How long these are must be
//! known before the first data block; everything else goes into the space between, in whatever order it comes.

/// Blocks in a group: as many as a bitmap of one block counts.
pub(crate) const GROUP_BLOCKS: u64 = 32_768;
/// Group descriptors (32 bytes) in a block.
pub(crate) const DESCRIPTORS_PER_BLOCK: u64 = 128;
/// The largest number of blocks: block numbers and counts have 32 bits.
pub(crate) const MAX_BLOCKS: u64 = u32::MAX as u64;
/// Descriptor blocks that an image of unknown size gets, used or reserved: enough for 1 TiB.
const GROWTH_DESCRIPTOR_BLOCKS: u64 = 64;
/// How far an image must still be able to grow when the reserve is cut to fit the last group.
const LEAST_GROWTH: u64 = 16;

/// All groups with a superblock below 2^17, the largest number of groups.
const BACKUP_GROUPS: [u64; 25] = [
    0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343, 625, 729, 2187, 2401, 3125, 6561, 15_625, 16_807, 19_683, 59_049,
    78_125, 117_649,
];

/// Whether a group begins with a superblock and descriptors.
pub(crate) fn has_superblock(group: u64) -> bool {
    BACKUP_GROUPS.binary_search(&group).is_ok()
}

/// The groups with a superblock among the first `groups`, group 0 included.
pub(crate) fn superblock_groups(groups: u64) -> impl Iterator<Item = u64> {
    BACKUP_GROUPS.into_iter().take_while(move |&group| group < groups)
}

/// The parts that stand at fixed places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// Blocks for group descriptors after each superblock, used or reserved.
    descriptor_blocks: u64,
}

impl Fixed {
    /// For an image whose size is not known yet.
    pub(crate) const fn growing() -> Self {
        Self { descriptor_blocks: GROWTH_DESCRIPTOR_BLOCKS }
    }

    /// For an image of at most `blocks` blocks, and how many of them it covers.
    ///
    /// The reserve is that of `mke2fs`: descriptors for 1024 times the size. When the last group is a backup group
    /// that cannot hold it, the reserve is cut; when it cannot even hold the descriptors, or too little reserve would
    /// be left to grow into, the file system ends before that group.
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

    /// Blocks for group descriptors after each superblock, used or reserved.
    pub(crate) const fn descriptor_blocks(self) -> u64 {
        self.descriptor_blocks
    }

    /// Blocks at the start of a group that are no free space: superblock and descriptors.
    pub(crate) fn blocks_in(self, group: u64) -> u64 {
        if has_superblock(group) { 1 + self.descriptor_blocks } else { 0 }
    }

    /// The number of blocks that the descriptors can describe.
    pub(crate) const fn limit(self) -> u64 {
        let blocks = self.descriptor_blocks * DESCRIPTORS_PER_BLOCK * GROUP_BLOCKS;
        if blocks < MAX_BLOCKS { blocks } else { MAX_BLOCKS }
    }
}

/// Groups that `blocks` blocks make, the last one perhaps partial.
pub(crate) const fn groups(blocks: u64) -> u64 {
    blocks.div_ceil(GROUP_BLOCKS)
}

/// Descriptor blocks for so many blocks.
pub(crate) const fn descriptor_blocks(blocks: u64) -> u64 {
    groups(blocks).div_ceil(DESCRIPTORS_PER_BLOCK)
}

/// Hands out blocks in ascending order, around the fixed parts.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    fixed: Fixed,
    next: u64,
    /// Where the next fixed part starts.
    run_end: u64,
    /// Behind the last block handed out.
    end: u64,
}

impl Cursor {
    /// Before the first block after the fixed parts of group 0.
    pub(crate) fn new(fixed: Fixed) -> Self {
        let mut cursor = Self { fixed, next: 0, run_end: 0, end: 0 };
        cursor.pass_fixed();
        cursor.end = cursor.next;
        cursor
    }

    /// Behind the last block handed out: all used blocks but the fixed parts stand before it.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// How many blocks follow each other from here.
    pub(crate) fn run(&self) -> u64 {
        self.run_end - self.next
    }

    /// The next blocks, at least 1 and at most `want`: number of the first, and how many.
    pub(crate) fn take(&mut self, want: u64) -> (u64, u64) {
        let start = self.next;
        let len = want.min(self.run());
        self.next += len;
        self.end = self.next;
        if self.next == self.run_end {
            self.pass_fixed();
        }
        (start, len)
    }

    /// The next `want` blocks that follow each other, at most a group without superblock: the first, and the range of
    /// blocks left out for it.
    pub(crate) fn take_together(&mut self, want: u64) -> (u64, std::ops::Range<u64>) {
        let left = self.next;
        let mut left_out = left..left;
        if self.run() < want {
            left_out.end = self.run_end;
            self.next = self.run_end;
            self.pass_fixed();
        }
        let (start, _) = self.take(want);
        (start, left_out)
    }

    /// Takes `count` blocks wherever they stand.
    pub(crate) fn skip(&mut self, count: u64) {
        let mut left = count;
        while left > 0 {
            left -= self.take(left).1;
        }
    }

    /// `next` is the start of a group with superblock: go behind its fixed part and find the next such group.
    fn pass_fixed(&mut self) {
        loop {
            let group = self.next / GROUP_BLOCKS;
            self.next = group * GROUP_BLOCKS + self.fixed.blocks_in(group);
            let at = BACKUP_GROUPS.partition_point(|&backup| backup <= group);
            self.run_end = BACKUP_GROUPS.get(at).map_or(u64::MAX, |&backup| backup * GROUP_BLOCKS);
            if self.next < self.run_end {
                return;
            }
        }
    }
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

    #[test]
    fn the_reserve_is_that_of_mke2fs() {
        // Blocks, "Reserved GDT blocks" of mke2fs 1.47.0 -b 4096 -O ^64bit.
        for (blocks, reserved) in [(256, 0), (32_768, 7), (76_800, 18), (1 << 20, 255), (1 << 22, 1023), (1 << 28, 960)]
        {
            let (fixed, covered) = Fixed::for_blocks(blocks);
            assert_eq!(covered, blocks);
            assert_eq!(fixed.descriptor_blocks() - descriptor_blocks(blocks), reserved, "{blocks} blocks");
        }
    }

    #[test]
    fn fixed_parts_fit_their_group_at_every_size() {
        let near_groups = (1..=130).flat_map(|group| (0..1100).map(move |more| group * GROUP_BLOCKS + more));
        let huge = (0..1100).map(|more| 117_649 * GROUP_BLOCKS + more);
        for blocks in (2..70_000).chain(near_groups).chain(huge).chain([MAX_BLOCKS - 1, MAX_BLOCKS, MAX_BLOCKS + 1]) {
            let (fixed, covered) = Fixed::for_blocks(blocks);
            assert!(covered <= blocks.min(MAX_BLOCKS));
            assert!(blocks - covered <= 1 + groups(blocks) / 8, "{covered} of {blocks}");
            let last = groups(covered) - 1;
            if last > 0 {
                assert!(covered - last * GROUP_BLOCKS >= fixed.blocks_in(last), "{blocks} blocks");
            }
            assert!(fixed.limit() >= covered);
            assert!(fixed.limit() >= covered * LEAST_GROWTH || covered * LEAST_GROWTH > MAX_BLOCKS, "{blocks} blocks");
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
            assert_eq!(Fixed::for_blocks(blocks).1, covered, "{blocks}");
        }
    }

    #[test]
    fn the_cursor_hands_out_every_block_but_the_fixed_ones_once() {
        for fixed in [Fixed::growing(), Fixed::for_blocks(300_000).0] {
            let mut cursor = Cursor::new(fixed);
            let mut expected =
                (0..10 * GROUP_BLOCKS).filter(|block| block % GROUP_BLOCKS >= fixed.blocks_in(block / GROUP_BLOCKS));
            for want in 1..900 {
                let (start, len) = cursor.take(want);
                assert!(len >= 1 && len <= want);
                for block in start..start + len {
                    if block < 10 * GROUP_BLOCKS {
                        assert_eq!(expected.next(), Some(block));
                    }
                }
            }
            assert_eq!(expected.next(), None);
        }
    }

    #[test]
    fn blocks_taken_together_leave_a_gap_before_a_fixed_part() {
        let mut cursor = Cursor::new(Fixed::growing());
        cursor.skip(GROUP_BLOCKS - 65 - 10);
        let (start, left_out) = cursor.take_together(11);
        assert_eq!(left_out, GROUP_BLOCKS - 10..GROUP_BLOCKS);
        assert_eq!(start, GROUP_BLOCKS + 65);
        assert_eq!(cursor.take_together(11), (GROUP_BLOCKS + 76, GROUP_BLOCKS + 76..GROUP_BLOCKS + 76));
    }
}
