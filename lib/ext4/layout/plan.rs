//! A file system laid out: its size, and the places of its own blocks.

use std::ops::Range;

use super::block_group::{descriptor_blocks, groups, superblock_groups};
use super::file_data::FileData;
use super::reserved_blocks::ReservedBlocks;
use crate::ext4::number::BlockNumber;

/// Inodes of 256 bytes in a block.
pub(crate) const INODES_PER_BLOCK: u64 = 16;

/// A file system's size and the places of its own blocks.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) blocks: u64,
    pub(crate) reserved: ReservedBlocks,
    pub(crate) inodes_per_group: u64,
    pub(crate) journal: Option<JournalBlocks>,
    /// The resize inode's double indirect block.
    pub(crate) resize_block: BlockNumber,
    pub(crate) block_bitmaps: Vec<BlockNumber>,
    pub(crate) inode_bitmaps: Vec<BlockNumber>,
    /// First block of each group's inode table.
    pub(crate) inode_tables: Vec<BlockNumber>,
    /// Blocks left free among the used ones, so that a table stands in one piece.
    pub(crate) left_out: Vec<Range<u64>>,
    /// Where the content ends: what is in the layout stands behind it.
    pub(crate) content_end: u64,
    /// Behind the last used block that is not reserved.
    pub(crate) end: u64,
    /// Blocks used, reserved ones included.
    pub(crate) used: u64,
}

/// The journal's blocks.
#[derive(Clone, Debug)]
pub(crate) struct JournalBlocks {
    /// The journal itself.
    pub(crate) data: FileData,
    /// The blocks of its extent tree.
    pub(crate) tree: Vec<BlockNumber>,
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
        self.reserved.descriptor_blocks() - self.descriptor_blocks()
    }

    pub(crate) fn inodes(&self) -> u64 {
        self.groups() * self.inodes_per_group
    }

    pub(crate) fn table_blocks(&self) -> u64 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    /// `s_overhead_clusters`: what `df` does not count as part of the file system.
    pub(crate) fn overhead(&self) -> u64 {
        let reserved: u64 = superblock_groups(self.groups()).map(|group| self.reserved.blocks_in(group)).sum();
        let journal = self.journal.as_ref().map_or(0, |journal| journal.data.blocks());
        reserved + self.groups() * (2 + self.table_blocks()) + journal
    }
}

/// The number of a block, where it has one; else how many blocks there would have to be.
pub(super) fn block(number: u64) -> Result<BlockNumber, u64> {
    BlockNumber::at(number).ok_or(number)
}
