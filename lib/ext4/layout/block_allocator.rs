//! Allocates blocks in ascending order.

use super::block_group::{BACKUP_GROUPS, GROUP_BLOCKS};
use super::reserved_blocks::ReservedBlocks;

/// Allocates blocks in ascending order, skipping the reserved ones.
#[derive(Clone, Debug)]
pub(crate) struct BlockAllocator {
    reserved: ReservedBlocks,
    next: u64,
    /// Where the next reserved blocks start.
    run_end: u64,
    /// The end of the last allocated block.
    end: u64,
}

impl BlockAllocator {
    /// Starts at the first block after the reserved ones of group 0.
    pub(crate) fn new(reserved: ReservedBlocks) -> Self {
        let mut allocator = Self { reserved, next: 0, run_end: 0, end: 0 };
        allocator.pass_reserved();
        allocator.end = allocator.next;
        allocator
    }

    /// The end of the last allocated block: all used blocks except reserved ones are before it.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The number of contiguous blocks from here on.
    pub(crate) fn run(&self) -> u64 {
        self.run_end - self.next
    }

    /// Allocates at least 1 and at most `want` contiguous blocks: returns the first and how many.
    pub(crate) fn take(&mut self, want: u64) -> (u64, u64) {
        let start = self.next;
        let len = want.min(self.run());
        self.next += len;
        self.end = self.next;
        if self.next == self.run_end {
            self.pass_reserved();
        }
        (start, len)
    }

    /// Allocates exactly `want` contiguous blocks, at most a group without a superblock: returns the first, and the
    /// range of blocks skipped for it.
    pub(crate) fn take_together(&mut self, want: u64) -> (u64, std::ops::Range<u64>) {
        let left = self.next;
        let mut left_out = left..left;
        if self.run() < want {
            left_out.end = self.run_end;
            self.next = self.run_end;
            self.pass_reserved();
        }
        let (start, _) = self.take(want);
        (start, left_out)
    }

    /// Allocates `count` blocks wherever they are.
    pub(crate) fn skip(&mut self, count: u64) {
        let mut left = count;
        while left > 0 {
            left -= self.take(left).1;
        }
    }

    /// When `next` is the start of a group with a superblock, skips its reserved blocks and finds the next such group.
    fn pass_reserved(&mut self) {
        loop {
            let group = self.next / GROUP_BLOCKS;
            self.next = group * GROUP_BLOCKS + self.reserved.blocks_in(group);
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

    #[test]
    fn the_cursor_hands_out_every_block_but_the_reserved_ones_once() {
        for reserved in [ReservedBlocks::growing(), ReservedBlocks::for_blocks(300_000).0] {
            let mut allocator = BlockAllocator::new(reserved);
            let mut expected =
                (0..10 * GROUP_BLOCKS).filter(|block| block % GROUP_BLOCKS >= reserved.blocks_in(block / GROUP_BLOCKS));
            for want in 1..900 {
                let (start, len) = allocator.take(want);
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
    fn blocks_taken_together_leave_a_gap_before_reserved_blocks() {
        let mut allocator = BlockAllocator::new(ReservedBlocks::growing());
        allocator.skip(GROUP_BLOCKS - 65 - 10);
        let (start, left_out) = allocator.take_together(11);
        assert_eq!(left_out, GROUP_BLOCKS - 10..GROUP_BLOCKS);
        assert_eq!(start, GROUP_BLOCKS + 65);
        assert_eq!(allocator.take_together(11), (GROUP_BLOCKS + 76, GROUP_BLOCKS + 76..GROUP_BLOCKS + 76));
    }
}
