//! The size and the place of the journal.

use super::block_allocator::BlockAllocator;
use super::file_data::FileData;
use super::image_layout::{JournalBlocks, block};
use crate::ext4::format::extent::Extent;
use crate::ext4::format::extent_tree::tree_blocks;
use crate::ext4::number::{BLOCK_BYTES, exact};
use crate::ext4::options::Journal;

/// `mke2fs` does not make a journal in an image of fewer blocks.
pub(super) const LEAST_IMAGE: u64 = 2048;

/// Allocates the journal in an image of at most `limit` blocks, or returns a lower bound for the number of blocks needed.
pub(super) fn place(allocator: &mut BlockAllocator, count: u64, limit: u64) -> Result<JournalBlocks, u64> {
    let mut data = FileData::hole(count * BLOCK_BYTES);
    let mut done = 0;
    while done < count {
        let (start, len) = allocator.take(count - done);
        if allocator.end() > limit {
            return Err(allocator.end() + (count - done - len));
        }
        data.push(Extent { logical: exact(done), start: block(start)?, len: exact(len) });
        done += len;
    }
    let tree = (0..tree_blocks(data.extents())).map(|_| block(allocator.take(1).0)).collect::<Result<_, _>>()?;
    Ok(JournalBlocks { data, tree })
}

/// The size of the journal in an image of `blocks` blocks; by default, that of `mke2fs`.
pub(super) fn blocks(journal: Journal, blocks: u64) -> u64 {
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
