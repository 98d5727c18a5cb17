//! How large the file system must be for its content, and where everything goes that does not belong to a file.
//!
//! Content is placed before any of this is known. It is followed by the journal, the block of the resize inode, the bitmaps
//! and the inode tables of all groups (`flex_bg` allows that); the rest is free.

use super::block_allocator::BlockAllocator;
use super::block_group::{GROUP_BLOCKS, MAX_BLOCKS, groups, superblock_groups};
use super::image_layout::{INODES_PER_BLOCK, ImageLayout, block};
use super::journal;
use super::reserved_blocks::ReservedBlocks;
use crate::ext4::error::Error;
use crate::ext4::number::{BLOCK_BYTES, exact};
use crate::ext4::options::{Free, Options, Percent};

/// As many as there are bits in a block.
const MAX_INODES_PER_GROUP: u64 = 32_768;
/// If no size is requested, it is a multiple of this: 1 MiB.
const ROUND_BLOCKS: u64 = 256;
/// [`Free::Default`]
const FREE_LEAST: u64 = (16 << 20) / BLOCK_BYTES;
const FREE_PART: Percent = Percent::from_hundredths(10_00);

/// A requested size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageSize {
    pub(crate) bytes: u64,
    /// The number of blocks that the file system covers.
    pub(crate) blocks: u64,
}

/// The needs of the content, and those of the options.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// The number of blocks allocated for content.
    pub(crate) content: u64,
    /// How many of those are unused, because their files were replaced.
    pub(crate) unused: u64,
    /// The number of used inodes, including reserved ones.
    pub(crate) inodes: u64,
    pub(crate) options: Options,
}

impl Demand {
    /// Lays out everything after `content`, skipping `reserved`.
    ///
    /// # Errors
    /// When the requested size is too small, or the image cannot be represented.
    pub(crate) fn layout(
        &self,
        content: &BlockAllocator,
        reserved: ReservedBlocks,
        size: Option<ImageSize>,
    ) -> Result<ImageLayout, Error> {
        if self.options.inodes.is_some_and(|inodes| u64::from(inodes) < self.inodes) {
            return Err(Error::NoInodes { inodes: self.options.inodes.unwrap_or(0).into(), needed: self.inodes });
        }
        match size {
            None => self.smallest(content, reserved),
            Some(size) => self.of_size(content, reserved, size),
        }
    }

    fn of_size(
        &self,
        content: &BlockAllocator,
        reserved: ReservedBlocks,
        size: ImageSize,
    ) -> Result<ImageLayout, Error> {
        let mut headroom = self.headroom(size.blocks);
        loop {
            match self.attempt(content, reserved, size.blocks, headroom) {
                Ok(layout) => return Ok(layout),
                Err(_) if headroom > 0 => headroom /= 2,
                Err(_) => return Err(Error::NoSpace { size: size.bytes, needed: self.needed()? }),
            }
        }
    }

    /// The smallest image for the content, the options and the space to be left free.
    fn smallest(&self, content: &BlockAllocator, reserved: ReservedBlocks) -> Result<ImageLayout, Error> {
        let (part, least) = match self.options.free {
            Free::Default => (FREE_PART, FREE_LEAST),
            Free::Percent(part) => (part, 0),
            Free::Bytes(bytes) => (Percent::default(), bytes.div_ceil(BLOCK_BYTES)),
        };
        // If no free space is wanted, nothing will be written.
        let free = least > 0 || part.hundredths() > 0;
        let for_root = self.options.reserved.hundredths();
        let mut blocks = content.end().max(1);
        loop {
            blocks = blocks.next_multiple_of(ROUND_BLOCKS);
            if blocks > reserved.limit() {
                return Err(Error::GrowthBound { limit: reserved.limit() * BLOCK_BYTES });
            }
            let layout = match self.attempt(content, reserved, blocks, self.headroom(blocks)) {
                Ok(layout) => layout,
                Err(more) => {
                    blocks = more.max(blocks + 1);
                    continue;
                }
            };
            let by_part = smallest_with(layout.used, part.hundredths() + for_root, free);
            let by_least = smallest_with(layout.used.saturating_add(least), for_root, free);
            let wanted = by_part.max(by_least);
            if wanted <= blocks {
                return Ok(layout);
            }
            blocks = wanted;
        }
    }

    /// A size in bytes that is sufficient for the same content, without spare space.
    fn needed(&self) -> Result<u64, Error> {
        let mut wanted = self.content + self.inodes.div_ceil(INODES_PER_BLOCK);
        loop {
            if wanted > MAX_BLOCKS {
                return Err(Error::ImageTooLarge);
            }
            let (reserved, blocks) = ReservedBlocks::for_blocks(wanted);
            let mut content = BlockAllocator::new(reserved);
            content.skip(self.content);
            // In another size, another backup group may split a file, and its tree may need one or two more blocks.
            let crossed = superblock_groups(groups(content.end())).count() as u64 - 1;
            content.skip(2 * crossed);
            match self.attempt(&content, reserved, blocks, 0) {
                Ok(_) => return Ok(wanted * BLOCK_BYTES),
                Err(more) => wanted = more.max(wanted + 1),
            }
        }
    }

    /// How many inodes to add to those needed: in proportion to the space left by the content, with the ratio of `mke2fs`.
    fn headroom(&self, blocks: u64) -> u64 {
        let ratio = match blocks * BLOCK_BYTES {
            small if small < 4 << 40 => 16 << 10,
            big if big < 16 << 40 => 32 << 10,
            _ => 64 << 10,
        };
        blocks.saturating_sub(self.content) * BLOCK_BYTES / ratio
    }

    /// How many inodes an image of this size should have.
    fn inodes_wanted(&self, blocks: u64, headroom: u64) -> u64 {
        match (self.options.inodes, self.options.bytes_per_inode) {
            (Some(inodes), _) => inodes.into(),
            (None, Some(bytes)) => (blocks * BLOCK_BYTES / bytes.max(1)).max(self.inodes),
            (None, None) => self.inodes + headroom,
        }
    }

    /// Lays out in exactly `blocks` blocks, or returns a lower bound for the number needed.
    fn attempt(
        &self,
        content: &BlockAllocator,
        reserved: ReservedBlocks,
        blocks: u64,
        headroom: u64,
    ) -> Result<ImageLayout, u64> {
        let group_count = groups(blocks);
        // There can be at most 2^32 - 1 inodes.
        let most_per_group = MAX_INODES_PER_GROUP.min((MAX_BLOCKS / group_count.max(1)) & !(INODES_PER_BLOCK - 1));
        let must = self.options.inodes.map_or(self.inodes, u64::from);
        if must > most_per_group * group_count {
            let group = must.div_ceil(MAX_INODES_PER_GROUP) - 1;
            return Err((group * GROUP_BLOCKS + reserved.blocks_in(group)).max(blocks) + 1);
        }
        let inodes_per_group = self
            .inodes_wanted(blocks, headroom)
            .div_ceil(group_count)
            .next_multiple_of(INODES_PER_BLOCK)
            .min(most_per_group);

        let mut allocator = content.clone();
        let journal = match self.options.journal {
            Some(_) if blocks < journal::LEAST_IMAGE => return Err(journal::LEAST_IMAGE),
            Some(journal) => Some(journal::place(&mut allocator, journal::blocks(journal, blocks), blocks)?),
            None => None,
        };
        let (resize_block, _) = allocator.take(1);
        let mut single = || allocator.take(1).0;
        let block_bitmaps: Vec<u64> = (0..group_count).map(|_| single()).collect();
        let inode_bitmaps: Vec<u64> = (0..group_count).map(|_| single()).collect();
        let mut left_out = Vec::new();
        let mut inode_tables = Vec::with_capacity(block_bitmaps.len());
        for _ in 0..group_count {
            let (start, gap) = allocator.take_together(inodes_per_group / INODES_PER_BLOCK);
            inode_tables.push(start);
            if !gap.is_empty() {
                left_out.push(gap);
            }
        }
        if allocator.end() > blocks {
            return Err(allocator.end());
        }
        let behind: u64 = superblock_groups(group_count)
            .filter(|group| group * GROUP_BLOCKS >= allocator.end())
            .map(|group| reserved.blocks_in(group))
            .sum();
        let gaps: u64 = left_out.iter().map(|gap| gap.end - gap.start).sum();
        Ok(ImageLayout {
            blocks,
            reserved,
            inodes_per_group,
            journal,
            resize_block: block(resize_block)?,
            block_bitmaps: block_bitmaps.into_iter().map(block).collect::<Result<_, _>>()?,
            inode_bitmaps: inode_bitmaps.into_iter().map(block).collect::<Result<_, _>>()?,
            inode_tables: inode_tables.into_iter().map(block).collect::<Result<_, _>>()?,
            left_out,
            content_end: content.end(),
            end: allocator.end(),
            used: (allocator.end() + behind).saturating_sub(gaps + self.unused),
        })
    }
}

/// The smallest number of blocks such that, besides `used` blocks, `part` (in hundredths of a percent) remain, and, if
/// `kept`, those that the kernel keeps for itself.
///
/// They matter for writing (E13): ext4 keeps back 2 % of the blocks, at most 4096, so that it never lacks blocks for extent
/// trees and directories (`ext4_calculate_resv`, `s_resv_clusters`).
fn smallest_with(used: u64, part: u32, kept: bool) -> u64 {
    const KEPT: u64 = 4096;
    const KEPT_PART: u64 = 200;
    let rest = 10_000_u64.saturating_sub(part.into());
    let of = |used: u64, rest: u64| {
        exact::<u64, _>((u128::from(used) * 10_000).div_ceil(rest.max(1).into()).min(u64::MAX.into()))
    };
    if kept {
        of(used.saturating_add(KEPT), rest).min(of(used, rest.saturating_sub(KEPT_PART)))
    } else {
        of(used, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_keeps_is_two_percent_and_at_most_4096_blocks() {
        for used in [0, 1, 10, 999, 100_000, 200_699, 200_704, 200_705, 1 << 20, 1 << 31] {
            for part in [0, 1000, 9000] {
                let fits = |blocks: u64| used + (blocks * part).div_ceil(10_000) + (blocks / 50).min(4096) <= blocks;
                let blocks = smallest_with(used, u32::try_from(part).unwrap_or(0), true);
                assert!(fits(blocks), "{used} used, {part}: {blocks}");
                assert!(blocks < 1000 || !fits(blocks * 99 / 100 - 1), "{used} used, {part}: {blocks}");
            }
        }
        assert_eq!(smallest_with(100, 0, false), 100);
        assert_eq!(smallest_with(100, 5000, false), 200);
    }
}
