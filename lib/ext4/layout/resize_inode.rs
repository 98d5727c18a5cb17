//! The resize inode, which owns the blocks reserved for more group descriptors, so that nothing else takes them.
//!
//! Its double indirect block points at the reserved blocks of group 0, each at its position among all descriptor
//! blocks; each of these points at the blocks at the same position in the backup groups.

use super::block_group::{GROUP_BLOCKS, superblock_groups};
use super::image_layout::ImageLayout;
use crate::ext4::number::{BLOCK, BlockNumber, exact};

/// The number of block numbers in a block.
const ADDRESSES: u64 = BLOCK as u64 / 4;
/// `i_size` as `mke2fs` sets it: everything that direct, indirect and double indirect blocks can address.
pub(crate) const SIZE: u64 = (ADDRESSES * ADDRESSES + ADDRESSES + 12) * BLOCK as u64;

/// The number of blocks that it owns.
pub(crate) fn blocks(layout: &ImageLayout) -> u64 {
    // The reserved blocks of all backup groups, and the double indirect block.
    1 + layout.reserved_descriptor_blocks() * superblock_groups(layout.groups()).count() as u64
}

/// `i_block`
pub(crate) fn block_map(layout: &ImageLayout) -> [u32; 15] {
    let mut map = [0; 15];
    map[13] = layout.resize_block.get();
    map
}

/// The numbers and contents of the blocks to write.
pub(crate) fn indirect_blocks(layout: &ImageLayout) -> impl Iterator<Item = (BlockNumber, [u8; BLOCK])> {
    let used = layout.descriptor_blocks();
    let places = used..used + layout.reserved_descriptor_blocks();
    let double = encode(places.clone().map(|place| (place % ADDRESSES, 1 + place)));
    let groups = layout.groups();
    let reserved = places.map(move |place| {
        let backups = superblock_groups(groups).skip(1).map(|group| group * GROUP_BLOCKS + 1 + place);
        (BlockNumber::new(exact(1 + place)), encode((0..).zip(backups)))
    });
    std::iter::once((layout.resize_block, double)).chain(reserved)
}

fn encode(entries: impl Iterator<Item = (u64, u64)>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (at, target) in entries {
        let at = exact::<usize, _>(at) * 4;
        block[at..at + 4].copy_from_slice(&exact::<u32, _>(target).to_le_bytes());
    }
    block
}
