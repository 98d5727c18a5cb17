//! Bitmaps of used blocks and inodes.

use std::ops::Range;

use super::block_group::GROUP_BLOCKS;
use super::image_layout::ImageLayout;
use crate::ext4::number::{BLOCK, exact};

/// A bitmap of one block.
pub(crate) type Bitmap = [u8; BLOCK];

/// The block bitmap of a group, or `None` if only superblock and descriptors are used.
///
/// `unused` are the free ranges before `layout.end`, in ascending order.
pub(crate) fn block_bitmap(layout: &ImageLayout, unused: &[Range<u64>], group: u64) -> Option<Bitmap> {
    let start = group * GROUP_BLOCKS;
    let end = (start + GROUP_BLOCKS).min(layout.blocks);
    if layout.end <= start && group + 1 < layout.groups() {
        return None;
    }
    let mut bitmap = [0; BLOCK];
    set(&mut bitmap, 0..layout.end.clamp(start, end) - start);
    let first = unused.partition_point(|range| range.end <= start);
    for range in unused[first..].iter().take_while(|range| range.start < end) {
        clear(&mut bitmap, range.start.max(start) - start..range.end.min(end) - start);
    }
    set(&mut bitmap, 0..layout.reserved.blocks_in(group));
    set(&mut bitmap, end - start..GROUP_BLOCKS);
    Some(bitmap)
}

/// The block bitmap of a full-sized group in which only superblock and descriptors are used.
pub(crate) fn reserved_only(layout: &ImageLayout, group: u64) -> Bitmap {
    let mut bitmap = [0; BLOCK];
    set(&mut bitmap, 0..layout.reserved.blocks_in(group));
    bitmap
}

/// The number of free blocks in a group.
pub(crate) fn free_blocks(layout: &ImageLayout, group: u64, bitmap: Option<&Bitmap>) -> u64 {
    match bitmap {
        Some(bitmap) => bitmap.iter().map(|byte| u64::from(byte.count_zeros())).sum(),
        None => GROUP_BLOCKS - layout.reserved.blocks_in(group),
    }
}

/// The inode bitmap of a group, the first `used` inodes of which are used. Bits after the group's inodes are set.
pub(crate) fn inode_bitmap(layout: &ImageLayout, used: u64) -> Bitmap {
    let mut bitmap = [0; BLOCK];
    set(&mut bitmap, 0..used);
    set(&mut bitmap, layout.inodes_per_group..BLOCK as u64 * 8);
    bitmap
}

fn set(bitmap: &mut Bitmap, bits: Range<u64>) {
    change(bitmap, bits, |byte, mask| *byte |= mask);
}

fn clear(bitmap: &mut Bitmap, bits: Range<u64>) {
    change(bitmap, bits, |byte, mask| *byte &= !mask);
}

fn change(bitmap: &mut Bitmap, bits: Range<u64>, change: impl Fn(&mut u8, u8)) {
    let mut at = bits.start;
    while at < bits.end {
        let byte = &mut bitmap[exact::<usize, _>(at / 8)];
        let first = at % 8;
        let last = (bits.end - at + first).min(8); // exclusive, within this byte
        change(byte, (0xff_u8 << first) & (0xff_u8 >> (8 - last)));
        at += last - first;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "the numbers are below 32768")]

    use super::*;

    #[test]
    fn ranges_of_bits_are_set_and_cleared_to_the_bit() {
        for bits in [0..0, 0..1, 3..8, 5..29, 8..16, 32_760..32_768, 0..32_768] {
            let mut bitmap = [0; BLOCK];
            set(&mut bitmap, bits.clone());
            for bit in 0..32_768_u64 {
                let is_set = bitmap[bit as usize / 8] >> (bit % 8) & 1 == 1;
                assert_eq!(is_set, bits.contains(&bit), "bit {bit} of {bits:?}");
            }
            clear(&mut bitmap, bits);
            assert_eq!(bitmap, [0; BLOCK]);
        }
    }
}
