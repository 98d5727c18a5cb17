//! Completes an image with everything that could not be written before the whole tree was known.

use crate::ext4::error::Error;
use crate::ext4::format::checksum::ChecksumSeed;
use crate::ext4::format::directory::DirFormat;
use crate::ext4::format::name_hash::HashSeed;
use crate::ext4::format::superblock::{SUPERBLOCK_OFFSET, backup, encode};
use crate::ext4::layout::block_group::{GROUP_BLOCKS, superblock_groups};
use crate::ext4::layout::demand::Demand;
use crate::ext4::layout::inode_numbering::InodeNumbering;
use crate::ext4::layout::resize_inode as resize;
use crate::ext4::number::BLOCK_BYTES;
use crate::ext4::options::Identity;
use crate::ext4::tree::FileTree;
use crate::ext4::write::bitmaps::{UsedInodes, write_bitmaps};
use crate::ext4::write::image_writer::{ImageWriter, Report};
use crate::ext4::write::inode_tables::InodeTables;
use crate::ext4::write::superblock::primary;
use crate::ext4::write::target::Target;

impl<T: Target> ImageWriter<T> {
    /// Writes everything else and completes the image.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoInodes`], [`Error::ImageTooLarge`], [`Error::GrowthBound`]; [`Error::Inode`]
    /// for what ext4 cannot represent; [`Error::Tree`] if the tree breaks its contract; [`Error::Write`].
    pub fn finish(mut self, tree: &impl FileTree, identity: &Identity) -> Result<Report, Error> {
        self.blocks.disk.end_content()?;
        let numbers = InodeNumbering::new(tree)?;
        let mut unused = self.blocks.replaced(tree, &numbers)?;
        let replaced = self.blocks.content - numbers.data_blocks;
        for range in &unused {
            let unit = BLOCK_BYTES;
            self.blocks.disk.punch(range.start * unit, (range.end - range.start) * unit)?;
        }
        let seed = if self.options.compat { None } else { Some(ChecksumSeed::of_file_system(&identity.uuid)) };
        let format = DirFormat { checksum_seed: seed, hash_seed: HashSeed::from_bytes(identity.hash_seed) };
        let placed = self.blocks.place(tree, &numbers, &format)?;
        let demand = Demand {
            content: self.blocks.content,
            unused: replaced,
            inodes: numbers.inodes().into(),
            options: self.options.clone(),
        };
        let layout = demand.layout(&self.blocks.allocator, self.blocks.reserved, self.blocks.size)?;
        unused.extend(layout.left_out.iter().cloned());

        let unit = BLOCK_BYTES;
        self.blocks.disk.clear(layout.content_end * unit, (layout.end - layout.content_end) * unit)?;
        let disk = &mut self.blocks.disk;
        let mut tables = InodeTables { disk, layout: &layout, seed, directories: Vec::new() };
        tables.inodes(tree, &numbers, &placed, identity.now)?;
        let journal = tables.reserved_inodes(identity)?;
        let used = UsedInodes { inodes: numbers.inodes().into(), directories: &tables.directories };
        let (descriptors, totals) = write_bitmaps(tables.disk, &layout, seed, &unused, &used)?;
        let superblock = primary(&layout, &self.options, identity, totals, journal.as_ref());
        self.blocks.disk.flush()?;
        for (block, content) in resize::indirect_blocks(&layout) {
            self.blocks.disk.write_blocks(block, &content)?;
        }
        for group in superblock_groups(layout.groups()) {
            let start = group * GROUP_BLOCKS * unit;
            if group > 0 {
                self.blocks.disk.clear(start, layout.reserved.blocks_in(group) * unit)?;
                self.blocks.disk.write(start, &encode(&backup(&superblock, group)))?;
            }
            self.blocks.disk.write(start + unit, &descriptors)?;
        }
        let bytes = self.blocks.size.map_or(layout.blocks * unit, |size| size.bytes);
        self.blocks.disk.settle(bytes)?;
        self.blocks.disk.write(SUPERBLOCK_OFFSET, &encode(&superblock))?;
        self.blocks.disk.finish()?;
        Ok(Report {
            bytes,
            blocks: layout.blocks,
            free_blocks: totals.free_blocks,
            inodes: layout.inodes(),
            free_inodes: totals.free_inodes,
            uuid: identity.uuid,
            hash_seed: identity.hash_seed,
            label: self.options.label,
        })
    }
}
