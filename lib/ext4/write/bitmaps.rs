//! Writes the bitmaps of all groups, and makes the group descriptors.

use std::ops::Range;

use arcbox_ext4::constants::bg_flags;
use arcbox_ext4::types::GroupDescriptor;

use crate::ext4::error::Error;
use crate::ext4::format::checksum::{ChecksumSeed, low16};
use crate::ext4::format::group_descriptor;
use crate::ext4::layout::bitmap::{block_bitmap, free_blocks, inode_bitmap, reserved_only};
use crate::ext4::layout::image_layout::ImageLayout;
use crate::ext4::number::{BLOCK, exact};
use crate::ext4::write::disk::Disk;
use crate::ext4::write::superblock::FreeCounts;
use crate::ext4::write::target::Target;

/// The inodes in use.
pub(crate) struct UsedInodes<'a> {
    /// Their number; they are numbered from 1 without gaps.
    pub(crate) inodes: u64,
    /// The number of directories in each group, up to the last group that has any.
    pub(crate) directories: &'a [u16],
}

/// Writes the bitmaps; returns all descriptors, padded to whole blocks, and the totals.
pub(crate) fn write_bitmaps<T: Target>(
    disk: &mut Disk<T>,
    layout: &ImageLayout,
    seed: Option<ChecksumSeed>,
    unused: &[Range<u64>],
    used: &UsedInodes<'_>,
) -> Result<(Vec<u8>, FreeCounts), Error> {
    let mut totals = FreeCounts::default();
    let mut descriptors = Vec::new();
    let mut inode_bitmaps = Vec::new();
    for (number, group) in (0_u32..).zip(0..layout.groups()) {
        let at: usize = exact(group);
        let mut flags = if seed.is_some() { bg_flags::INODE_ZEROED } else { 0 };

        let bitmap = block_bitmap(layout, unused, group);
        let free = free_blocks(layout, group, bitmap.as_ref());
        let mut block_sum = 0;
        match (&bitmap, seed) {
            (None, Some(_)) => flags |= bg_flags::BLOCK_UNINIT,
            (None, None) => {
                let bitmap = reserved_only(layout, group);
                disk.write_unless_zero(layout.block_bitmaps[at], &bitmap)?;
            }
            (Some(bitmap), seed) => {
                disk.write_unless_zero(layout.block_bitmaps[at], bitmap)?;
                block_sum = seed.map_or(0, |seed| seed.sum(bitmap));
            }
        }

        let used_here = used.inodes.saturating_sub(group * layout.inodes_per_group).min(layout.inodes_per_group);
        let unused_inodes = layout.inodes_per_group - used_here;
        let mut inode_sum = 0;
        if used_here == 0 && seed.is_some() {
            flags |= bg_flags::INODE_UNINIT;
        } else {
            let bitmap = inode_bitmap(layout, used_here);
            let counted: usize = exact(layout.inodes_per_group / 8);
            inode_sum = seed.map_or(0, |seed| seed.sum(&bitmap[..counted]));
            inode_bitmaps.push((layout.inode_bitmaps[at], used_here));
        }
        let descriptor = GroupDescriptor {
            block_bitmap_lo: layout.block_bitmaps[at].get(),
            inode_bitmap_lo: layout.inode_bitmaps[at].get(),
            inode_table_lo: layout.inode_tables[at].get(),
            free_blocks_count_lo: exact(free),
            free_inodes_count_lo: exact(unused_inodes),
            used_dirs_count_lo: used.directories.get(at).copied().unwrap_or(0),
            flags,
            exclude_bitmap_lo: 0,
            block_bitmap_csum_lo: low16(block_sum),
            inode_bitmap_csum_lo: low16(inode_sum),
            itable_unused_lo: if seed.is_some() { exact(unused_inodes) } else { 0 },
            checksum: 0,
        };
        descriptors.extend_from_slice(&group_descriptor::encode(&descriptor, number, seed));
        totals.free_blocks += free;
        totals.free_inodes += unused_inodes;
    }
    // All block bitmaps precede all inode bitmaps, so writing in this order makes few large writes.
    for (block, used) in inode_bitmaps {
        disk.write_unless_zero(block, &inode_bitmap(layout, used))?;
    }
    descriptors.resize(descriptors.len().next_multiple_of(BLOCK), 0);
    Ok((descriptors, totals))
}
