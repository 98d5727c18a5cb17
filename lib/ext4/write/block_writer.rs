//! Allocates blocks for content and writes it there.

use crate::ext4::error::Error;
use crate::ext4::format::extent::Extent;
use crate::ext4::layout::block_allocator::BlockAllocator;
use crate::ext4::layout::block_group::MAX_BLOCKS;
use crate::ext4::layout::demand::ImageSize;
use crate::ext4::layout::file_data::FileData;
use crate::ext4::layout::reserved_blocks::ReservedBlocks;
use crate::ext4::number::{BLOCK, BLOCK_BYTES, BlockNumber, exact};
use crate::ext4::options::Options;
use crate::ext4::write::disk::Disk;
use crate::ext4::write::target::Target;

/// The target and the allocation of its blocks.
#[derive(Debug)]
pub(crate) struct BlockWriter<T> {
    pub(crate) disk: Disk<T>,
    /// The requested size.
    pub(crate) size: Option<ImageSize>,
    pub(crate) reserved: ReservedBlocks,
    pub(crate) allocator: BlockAllocator,
    /// The number of allocated blocks.
    pub(crate) content: u64,
}

impl<T: Target> BlockWriter<T> {
    /// Begins a file system by clearing its first block.
    pub(crate) fn new(target: T, options: &Options) -> Result<Self, Error> {
        let (reserved, size) = match options.size {
            None => (ReservedBlocks::growing(), None),
            Some(bytes) => {
                // 16 TiB is one block more than can be counted; like mke2fs, leave that one out.
                let blocks = bytes / BLOCK_BYTES;
                if blocks > MAX_BLOCKS + 1 {
                    return Err(Error::ImageTooLarge);
                }
                let (reserved, blocks) = ReservedBlocks::for_blocks(blocks);
                (reserved, Some(ImageSize { bytes, blocks }))
            }
        };
        let mut disk = Disk::new(target, options.offset);
        if size.is_none_or(|size| size.blocks > 0) {
            disk.clear_first(BLOCK_BYTES)?;
        }
        Ok(Self { disk, size, reserved, allocator: BlockAllocator::new(reserved), content: 0 })
    }

    /// Allocates blocks for content: returns the first, and how many of those wanted are contiguous.
    pub(crate) fn take(&mut self, want: u64) -> Result<(BlockNumber, u32), Error> {
        let (start, len) = self.allocator.take(want);
        self.content += len;
        let end = start + len;
        match self.size {
            None if end > self.reserved.limit() => {
                return Err(Error::GrowthBound { limit: self.reserved.limit() * BLOCK_BYTES });
            }
            Some(size) if end > size.blocks => {
                self.disk.discard();
                if end > counted_up_to(size.blocks) {
                    let more_than = counted_up_to(size.blocks) * BLOCK_BYTES;
                    return Err(Error::FarTooSmall { size: size.bytes, more_than });
                }
            }
            _ => {}
        }
        let start = BlockNumber::at(start).filter(|_| end <= MAX_BLOCKS).ok_or(Error::ImageTooLarge)?;
        Ok((start, exact(len)))
    }

    /// Appends whole blocks to `file`.
    pub(crate) fn append(&mut self, file: &mut FileData, blocks: &[u8]) -> Result<(), Error> {
        let end = file.extents().last().map_or(0, |last| last.logical + last.len);
        self.store(file, end, blocks).map(drop)
    }

    /// Writes whole blocks from block `logical` of `file`; returns the block after them.
    pub(crate) fn store(&mut self, file: &mut FileData, mut logical: u32, mut blocks: &[u8]) -> Result<u32, Error> {
        while !blocks.is_empty() {
            let (start, len) = self.take((blocks.len() / BLOCK) as u64)?;
            let (now, rest) = blocks.split_at(len as usize * BLOCK);
            self.disk.write_blocks(start, now)?;
            file.push(Extent { logical, start, len });
            logical += len;
            blocks = rest;
        }
        Ok(logical)
    }
}

/// How many blocks of content are read, if they do not fit into an image of `blocks` blocks, in order to report the size
/// needed: 16 times the image, at least 16 GiB. A decompression bomb is not worth hours just for a number.
fn counted_up_to(blocks: u64) -> u64 {
    const LEAST: u64 = (16 << 30) / BLOCK_BYTES;
    blocks.saturating_mul(16).max(LEAST)
}
