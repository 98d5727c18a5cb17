//! The layout of a file system: its size, and the location of its metadata.

use std::ops::Range;

use super::block_group::{descriptor_blocks, groups, superblock_groups};
use super::file_data::FileData;
use super::reserved_blocks::ReservedBlocks;
use crate::ext4::number::BlockNumber;

/// The number of inodes (256 bytes) in a block.
pub(crate) const INODES_PER_BLOCK: u64 = 16;

/// The size of a file system, and the location of its metadata.
#[derive(Clone, Debug)]
pub(crate) struct ImageLayout {
    pub(crate) blocks: u64,
    pub(crate) reserved: ReservedBlocks,
    pub(crate) inodes_per_group: u64,
    pub(crate) journal: Option<JournalBlocks>,
    /// The double indirect block of the resize inode.
    pub(crate) resize_block: BlockNumber,
    pub(crate) block_bitmaps: Vec<BlockNumber>,
    pub(crate) inode_bitmaps: Vec<BlockNumber>,
    /// The first block of each group's inode table.
    pub(crate) inode_tables: Vec<BlockNumber>,
    /// Free blocks among the used ones, skipped to keep inode tables contiguous.
    pub(crate) left_out: Vec<Range<u64>>,
    /// The end of the content: everything in the layout comes after it.
    pub(crate) content_end: u64,
    /// The end of the last used block that is not reserved.
    pub(crate) end: u64,
    /// The number of used blocks, including reserved ones.
    pub(crate) used: u64,
}

/// The blocks of the journal.
#[derive(Clone, Debug)]
pub(crate) struct JournalBlocks {
    /// The journal itself.
    pub(crate) data: FileData,
    /// The blocks of its extent tree.
    pub(crate) tree: Vec<BlockNumber>,
}

impl ImageLayout {
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

    /// `s_overhead_clusters`: what `df` does not count as space of the file system.
    pub(crate) fn overhead(&self) -> u64 {
        let reserved: u64 = superblock_groups(self.groups()).map(|group| self.reserved.blocks_in(group)).sum();
        let journal = self.journal.as_ref().map_or(0, |journal| journal.data.blocks());
        reserved + self.groups() * (2 + self.table_blocks()) + journal
    }
}

/// A block number, or, if it is out of range, the number of blocks that would be needed.
pub(super) fn block(number: u64) -> Result<BlockNumber, u64> {
    BlockNumber::at(number).ok_or(number)
}
