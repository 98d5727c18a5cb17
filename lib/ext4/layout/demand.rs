//! How large the file system is, and where what does not belong to a file stands: arithmetic, no I/O.
//!
//! Content is placed before any of this is known. Behind it come the journal, the resize inode's block, the bitmaps
//! and the inode tables of all groups (`flex_bg` allows that); what follows is free.

use std::ops::Range;

use crate::ext4::format::extent_tree::tree_blocks;
use crate::ext4::layout::block_group::{
    Cursor, DESCRIPTORS_PER_BLOCK, Fixed, GROUP_BLOCKS, MAX_BLOCKS, descriptor_blocks, groups, superblock_groups,
};
use crate::ext4::layout::file_data::{Extent, FileData};
use crate::ext4::{Error, Free, Journal, Options, Percent};

const BLOCK_BYTES: u64 = crate::ext4::BLOCK_SIZE as u64;
/// Inodes of 256 bytes in a block.
pub(crate) const INODES_PER_BLOCK: u64 = 16;
/// As many as a bitmap of one block counts.
const MAX_INODES_PER_GROUP: u64 = 32_768;
/// An image without given size is a multiple of this: 1 MiB.
const ROUND_BLOCKS: u64 = 256;
/// [`Free::Default`]
const FREE_LEAST: u64 = (16 << 20) / BLOCK_BYTES;
const FREE_PART: Percent = Percent::from_hundredths(10_00);
/// `mke2fs` makes no journal in less.
const JOURNAL_LEAST_IMAGE: u64 = 2048;

/// What the content takes, and what the options ask for.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// Blocks handed out for content.
    pub(crate) content: u64,
    /// Blocks among them that nothing uses: content of files that were replaced.
    pub(crate) unused: u64,
    /// Inodes used, the reserved ones included.
    pub(crate) inodes: u64,
    pub(crate) options: Options,
}

/// A file system's size and the places of its own blocks.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) blocks: u64,
    pub(crate) fixed: Fixed,
    pub(crate) inodes_per_group: u64,
    pub(crate) journal: Option<JournalPlace>,
    /// The resize inode's double indirect block.
    pub(crate) resize_block: u32,
    pub(crate) block_bitmaps: Vec<u32>,
    pub(crate) inode_bitmaps: Vec<u32>,
    /// First block of each group's inode table.
    pub(crate) inode_tables: Vec<u32>,
    /// Blocks left free among the used ones, so that a table stands in one piece.
    pub(crate) left_out: Vec<Range<u64>>,
    /// Where the content ends: what is in the layout stands behind it.
    pub(crate) content_end: u64,
    /// Behind the last used block that is no fixed part.
    pub(crate) end: u64,
    /// Blocks used, fixed parts included.
    pub(crate) used: u64,
}

/// Where the journal stands.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    pub(crate) data: FileData,
    pub(crate) tree: Vec<u32>,
}

impl Layout {
    pub(crate) fn groups(&self) -> u64 {
        groups(self.blocks)
    }

    pub(crate) fn descriptor_blocks(&self) -> u64 {
        descriptor_blocks(self.blocks)
    }

    /// `s_reserved_gdt_blocks`
    pub(crate) fn reserved_descriptor_blocks(&self) -> u64 {
        self.fixed.descriptor_blocks() - self.descriptor_blocks()
    }

    pub(crate) fn inodes(&self) -> u64 {
        self.groups() * self.inodes_per_group
    }

    pub(crate) fn table_blocks(&self) -> u64 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    /// `s_overhead_clusters`: what `df` does not count as part of the file system.
    pub(crate) fn overhead(&self) -> u64 {
        let fixed: u64 = superblock_groups(self.groups()).map(|group| self.fixed.blocks_in(group)).sum();
        let journal = self.journal.as_ref().map_or(0, |journal| journal.data.blocks());
        fixed + self.groups() * (2 + self.table_blocks()) + journal
    }
}

impl Demand {
    /// Lays out behind `content`, which stands around `fixed`.
    ///
    /// # Errors
    /// Too little space in the size asked for, or no way to represent the image.
    pub(crate) fn layout(&self, content: &Cursor, fixed: Fixed, size: Option<Size>) -> Result<Layout, Error> {
        if self.options.inodes.is_some_and(|inodes| u64::from(inodes) < self.inodes) {
            return Err(Error::NoInodes { inodes: self.options.inodes.unwrap_or(0).into(), needed: self.inodes });
        }
        match size {
            None => self.smallest(content, fixed),
            Some(size) => self.of_size(content, fixed, size),
        }
    }

    fn of_size(&self, content: &Cursor, fixed: Fixed, size: Size) -> Result<Layout, Error> {
        let mut headroom = self.headroom(size.blocks);
        loop {
            match self.attempt(content, fixed, size.blocks, headroom) {
                Ok(layout) => return Ok(layout),
                Err(_) if headroom > 0 => headroom /= 2,
                Err(_) => return Err(Error::NoSpace { size: size.bytes, needed: self.needed()? }),
            }
        }
    }

    /// The smallest image that holds the content, what the options ask for and the space to be left free.
    fn smallest(&self, content: &Cursor, fixed: Fixed) -> Result<Layout, Error> {
        let part = match self.options.free {
            Free::Default => FREE_PART,
            Free::Percent(part) => part,
            Free::Bytes(_) => Percent::default(),
        };
        let part = u64::from(part.hundredths() + self.options.reserved.hundredths());
        let least = match self.options.free {
            Free::Default => FREE_LEAST,
            Free::Bytes(bytes) => bytes.div_ceil(BLOCK_BYTES),
            Free::Percent(_) => 0,
        };
        let mut blocks = content.end().max(1);
        loop {
            blocks = blocks.next_multiple_of(ROUND_BLOCKS);
            if blocks > fixed.limit() {
                return Err(Error::GrowthBound { limit: fixed.limit() * BLOCK_BYTES });
            }
            let layout = match self.attempt(content, fixed, blocks, self.headroom(blocks)) {
                Ok(layout) => layout,
                Err(more) => {
                    blocks = more.max(blocks + 1);
                    continue;
                }
            };
            // used + reserved part + max(free part, least) <= blocks, for a part in hundredths of a percent.
            let reserved = part_of(blocks, u64::from(self.options.reserved.hundredths()));
            let by_part = (layout.used * 10_000).div_ceil(10_000_u64.saturating_sub(part).max(1));
            let by_least = layout.used.saturating_add(least).saturating_add(reserved);
            let wanted = by_part.max(by_least);
            if wanted <= blocks {
                return Ok(layout);
            }
            blocks = wanted;
        }
    }

    /// A size in bytes that is enough for the same content with no space to spare.
    fn needed(&self) -> Result<u64, Error> {
        let mut wanted = self.content + self.inodes.div_ceil(INODES_PER_BLOCK);
        loop {
            if wanted > MAX_BLOCKS {
                return Err(Error::ImageTooLarge);
            }
            let (fixed, blocks) = Fixed::for_blocks(wanted);
            let mut content = Cursor::new(fixed);
            content.skip(self.content);
            // In another size a file may be cut by another backup group, and its tree need another block or two.
            let crossed = superblock_groups(groups(content.end())).count() as u64 - 1;
            content.skip(2 * crossed);
            match self.attempt(&content, fixed, blocks, 0) {
                Ok(_) => return Ok(wanted * BLOCK_BYTES),
                Err(more) => wanted = more.max(wanted + 1),
            }
        }
    }

    /// Inodes beyond those needed: in proportion to the space that the content leaves, at the ratio of `mke2fs`.
    fn headroom(&self, blocks: u64) -> u64 {
        let ratio = match blocks * BLOCK_BYTES {
            small if small < 4 << 40 => 16 << 10,
            big if big < 16 << 40 => 32 << 10,
            _ => 64 << 10,
        };
        blocks.saturating_sub(self.content) * BLOCK_BYTES / ratio
    }

    /// Inodes that an image of this size must have, and those it would better have.
    fn inodes_wanted(&self, blocks: u64, headroom: u64) -> u64 {
        match (self.options.inodes, self.options.bytes_per_inode) {
            (Some(inodes), _) => inodes.into(),
            (None, Some(bytes)) => (blocks * BLOCK_BYTES / bytes.max(1)).max(self.inodes),
            (None, None) => self.inodes + headroom,
        }
    }

    /// Lays out in exactly `blocks` blocks, or says how many it takes at least.
    fn attempt(&self, content: &Cursor, fixed: Fixed, blocks: u64, headroom: u64) -> Result<Layout, u64> {
        let group_count = groups(blocks);
        // 2^32 - 1 is the largest number of inodes.
        let most_per_group = MAX_INODES_PER_GROUP.min((MAX_BLOCKS / group_count.max(1)) & !(INODES_PER_BLOCK - 1));
        let must = self.options.inodes.map_or(self.inodes, u64::from);
        if must > most_per_group * group_count {
            let group = must.div_ceil(MAX_INODES_PER_GROUP) - 1;
            return Err((group * GROUP_BLOCKS + fixed.blocks_in(group)).max(blocks) + 1);
        }
        let inodes_per_group = self
            .inodes_wanted(blocks, headroom)
            .div_ceil(group_count)
            .next_multiple_of(INODES_PER_BLOCK)
            .min(most_per_group);

        let mut cursor = content.clone();
        let journal = match self.options.journal {
            Some(_) if blocks < JOURNAL_LEAST_IMAGE => return Err(JOURNAL_LEAST_IMAGE),
            Some(journal) => Some(place_journal(&mut cursor, journal_blocks(journal, blocks), blocks)?),
            None => None,
        };
        let (resize_block, _) = cursor.take(1);
        let mut single = || cursor.take(1).0;
        let block_bitmaps: Vec<u64> = (0..group_count).map(|_| single()).collect();
        let inode_bitmaps: Vec<u64> = (0..group_count).map(|_| single()).collect();
        let mut left_out = Vec::new();
        let mut inode_tables = Vec::with_capacity(block_bitmaps.len());
        for _ in 0..group_count {
            let (start, gap) = cursor.take_together(inodes_per_group / INODES_PER_BLOCK);
            inode_tables.push(start);
            if !gap.is_empty() {
                left_out.push(gap);
            }
        }
        if cursor.end() > blocks {
            return Err(cursor.end());
        }
        let behind: u64 = superblock_groups(group_count)
            .filter(|group| group * GROUP_BLOCKS >= cursor.end())
            .map(|group| fixed.blocks_in(group))
            .sum();
        let gaps: u64 = left_out.iter().map(|gap| gap.end - gap.start).sum();
        Ok(Layout {
            blocks,
            fixed,
            inodes_per_group,
            journal,
            resize_block: number(resize_block),
            block_bitmaps: block_bitmaps.into_iter().map(number).collect(),
            inode_bitmaps: inode_bitmaps.into_iter().map(number).collect(),
            inode_tables: inode_tables.into_iter().map(number).collect(),
            left_out,
            content_end: content.end(),
            end: cursor.end(),
            used: (cursor.end() + behind).saturating_sub(gaps + self.unused),
        })
    }
}

/// A size asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    /// Blocks that the file system covers.
    pub(crate) blocks: u64,
}

fn place_journal(cursor: &mut Cursor, count: u64, limit: u64) -> Result<JournalPlace, u64> {
    let mut data = FileData::hole(count * BLOCK_BYTES);
    let mut done = 0;
    while done < count {
        let (start, len) = cursor.take(count - done);
        if cursor.end() > limit {
            return Err(cursor.end() + (count - done - len));
        }
        data.push(Extent { logical: number(done), start: number(start), len: number(len) });
        done += len;
    }
    let tree = (0..tree_blocks(data.extents())).map(|_| number(cursor.take(1).0)).collect();
    Ok(JournalPlace { data, tree })
}

/// The journal's blocks in an image of `blocks` blocks, as `mke2fs` sizes it.
fn journal_blocks(journal: Journal, blocks: u64) -> u64 {
    match journal {
        Journal::Bytes(bytes) => bytes / BLOCK_BYTES,
        Journal::Auto => match blocks {
            ..0x8000 => 1024,              // below 128 MiB: 4 MiB
            0x8000..0x4_0000 => 4096,      // 1 GiB: 16 MiB
            0x4_0000..0x8_0000 => 8192,    // 2 GiB: 32 MiB
            0x8_0000..0x40_0000 => 16_384, // 16 GiB: 64 MiB
            0x40_0000..0x80_0000 => 32_768,
            0x80_0000..0x100_0000 => 65_536,
            0x100_0000..0x200_0000 => 131_072,
            _ => 262_144, // 1 GiB
        },
    }
}

/// A part in hundredths of a percent.
pub(crate) fn part_of(blocks: u64, hundredths: u64) -> u64 {
    u64::try_from(u128::from(blocks) * u128::from(hundredths) / 10_000).unwrap_or(u64::MAX)
}

/// A block number that was compared with the image's size, or belongs to a layout that is refused for its size.
fn number(block: u64) -> u32 {
    u32::try_from(block).unwrap_or(u32::MAX)
}

/// Blocks of descriptors for so many groups fit what was reserved for them.
const _: () = assert!(DESCRIPTORS_PER_BLOCK * 32 == BLOCK_BYTES);
