//! The end of an image: everything that could not be written before the whole tree was known.

use std::ops::Range;

use arcbox_ext4::constants::{bg_flags, file_mode};
use arcbox_ext4::types::GroupDescriptor;

use crate::ext4::format::dir_block::{BLOCK, crc, inode_seed};
use crate::ext4::format::extent_tree::{build, tree_blocks};
use crate::ext4::format::inode::{Content, FAST_SYMLINK, INODE_BYTES, Record, directory, encode_device};
use crate::ext4::format::journal;
use crate::ext4::format::name_hash::{HashSeed, HashSign};
use crate::ext4::format::superblock::{Totals, backup, encode, encode_descriptor, primary};
use crate::ext4::layout::bitmap::{block_bitmap, free_blocks, inode_bitmap};
use crate::ext4::layout::block_group::{GROUP_BLOCKS, superblock_groups};
use crate::ext4::layout::demand::{Demand, Layout};
use crate::ext4::layout::directory::{DirFormat, FileType};
use crate::ext4::layout::inode_numbering::{JOURNAL_INODE, LOST_FOUND_INODE, RESIZE_INODE, Scan};
use crate::ext4::layout::resize_inode as resize;
use crate::ext4::write::disk::byte;
use crate::ext4::write::metadata::{Places, in_order};
use crate::ext4::{
    BLOCK_SIZE, Error, FileData, FileTree, Identity, ImageWriter, InodeError, Report, Target, XattrBlocks,
    encode_xattrs,
};
use crate::meta::{NodeKind, Timestamp};

/// Where the primary superblock starts, in bytes.
const SUPERBLOCK_OFFSET: u64 = 1024;

impl<T: Target> ImageWriter<T> {
    /// Writes all the rest.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoInodes`], [`Error::ImageTooLarge`], [`Error::GrowthBound`]; [`Error::Inode`]
    /// for what ext4 cannot represent; [`Error::Tree`] when the tree breaks its contract; [`Error::Write`].
    pub fn finish(mut self, tree: &impl FileTree, identity: &Identity) -> Result<Report, Error> {
        self.disk.end_content()?;
        let scan = Scan::new(tree)?;
        let mut unused = self.replaced(tree, &scan)?;
        let replaced = self.content - scan.data_blocks;
        for range in &unused {
            let unit = u64::from(BLOCK_SIZE);
            self.disk.punch(range.start * unit, (range.end - range.start) * unit)?;
        }
        let seed = if self.options.compat { None } else { Some(crc(!0, &identity.uuid)) };
        let format = DirFormat {
            checksum_seed: seed,
            hash_seed: HashSeed::from_bytes(identity.hash_seed),
            hash_sign: HashSign::default(),
        };
        let places = self.place(tree, &scan, &format)?;
        let demand = Demand {
            content: self.content,
            unused: replaced,
            inodes: scan.inodes().into(),
            options: self.options.clone(),
        };
        let layout = demand.layout(&self.cursor, self.fixed, self.size)?;
        unused.extend(layout.left_out.iter().cloned());

        let unit = u64::from(BLOCK_SIZE);
        self.disk.clear(layout.content_end * unit, (layout.end - layout.content_end) * unit)?;
        let mut tables = Tables { image: &mut self, layout: &layout, seed, directories: Vec::new() };
        tables.inodes(tree, &scan, &places, identity.now)?;
        let journal = tables.own_inodes(identity)?;
        let (descriptors, totals) = tables.groups(&unused, scan.inodes().into())?;
        let superblock = primary(&layout, &self.options, identity, totals, journal.as_ref());
        self.disk.flush()?;
        for (block, content) in resize::indirect_blocks(&layout) {
            self.disk.write_blocks(block, &content)?;
        }
        for group in superblock_groups(layout.groups()) {
            let start = group * GROUP_BLOCKS * unit;
            if group > 0 {
                self.disk.clear(start, layout.fixed.blocks_in(group) * unit)?;
                self.disk.write(start, &encode(&backup(&superblock, group)))?;
            }
            self.disk.write(start + unit, &descriptors)?;
        }
        let bytes = self.size.map_or(layout.blocks * unit, |size| size.bytes);
        self.disk.settle(bytes)?;
        self.disk.write(SUPERBLOCK_OFFSET, &encode(&superblock))?;
        self.disk.finish()?;
        Ok(Report {
            bytes,
            blocks: layout.blocks,
            free_blocks: totals.free_blocks,
            inodes: layout.inodes(),
            free_inodes: totals.free_inodes,
            uuid: identity.uuid,
            label: self.options.label,
        })
    }
}

/// Writes inode tables and bitmaps.
struct Tables<'a, T> {
    image: &'a mut ImageWriter<T>,
    layout: &'a Layout,
    seed: Option<u32>,
    /// Directories in each group, as far as there are any.
    directories: Vec<u16>,
}

impl<T: Target> Tables<'_, T> {
    /// All inodes that have a name.
    fn inodes(&mut self, tree: &impl FileTree, scan: &Scan, places: &Places, now: Timestamp) -> Result<(), Error> {
        for (number, id) in in_order(scan) {
            let inode = match id {
                Some(id) => {
                    self.inode(tree, scan, places, number, id).map_err(|source| scan.refuse(tree, id, source))?
                }
                None => self.lost_found(places, now)?,
            };
            self.put(number, &inode)?;
            if id.is_none_or(|id| matches!(tree.inode(id).kind, NodeKind::Directory)) {
                let group = (u64::from(number) - 1) / self.layout.inodes_per_group;
                let group = usize::try_from(group).unwrap_or(usize::MAX);
                self.directories.resize(self.directories.len().max(group + 1), 0);
                self.directories[group] += 1; // at most 32768
            }
        }
        Ok(())
    }

    fn inode(
        &self,
        tree: &impl FileTree,
        scan: &Scan,
        places: &Places,
        number: u32,
        id: u32,
    ) -> Result<[u8; INODE_BYTES], InodeError> {
        let node = tree.inode(id);
        let is_directory = matches!(node.kind, NodeKind::Directory);
        let xattrs = encode_xattrs(node.meta.mode, FileType::from(node.kind), node.xattrs, &mut XattrBlocks::new())?;
        let xattr_block = places.xattr_block(number);
        let mut record = Record {
            uid: node.meta.uid,
            gid: node.meta.gid,
            links: scan.links(id, is_directory),
            time: node.meta.mtime,
            xattrs: &xattrs.inode,
            xattr_block: xattr_block.unwrap_or(0),
            blocks: u64::from(xattr_block.is_some()),
            ..Record::default()
        };
        let mode = xattrs.mode & 0o7777;
        let root;
        let own;
        let data = match node.kind {
            NodeKind::File(data) => Some((data, false)),
            _ => {
                own = places.own(number);
                own
            }
        };
        if let Some((data, indexed)) = data {
            record.indexed = indexed;
            record.size = data.size();
            record.blocks += data.blocks();
            root = match places.tree(number) {
                Some(tree) => {
                    record.blocks += tree.blocks;
                    tree.root
                }
                None => inline_root(data),
            };
            record.content = Content::Extents(&root);
        }
        record.mode = mode
            | match node.kind {
                NodeKind::Directory => file_mode::S_IFDIR,
                NodeKind::File(_) => file_mode::S_IFREG,
                NodeKind::Symlink(target) => {
                    if target.len() < FAST_SYMLINK {
                        record.size = target.len() as u64;
                        record.content = Content::Target(target);
                    }
                    file_mode::S_IFLNK
                }
                NodeKind::CharDevice(device) => {
                    record.content = Content::Device(encode_device(*device)?);
                    file_mode::S_IFCHR
                }
                NodeKind::BlockDevice(device) => {
                    record.content = Content::Device(encode_device(*device)?);
                    file_mode::S_IFBLK
                }
                NodeKind::Fifo => file_mode::S_IFIFO,
            };
        record.encode(number, self.seed)
    }

    fn lost_found(&self, places: &Places, time: Timestamp) -> Result<[u8; INODE_BYTES], Error> {
        let (size, blocks, root) = match places.own(LOST_FOUND_INODE) {
            Some((data, _)) => (data.size(), data.blocks(), inline_or_tree(places, LOST_FOUND_INODE, data)),
            None => (0, 0, inline_root(&FileData::EMPTY)),
        };
        let content = Content::Extents(&root);
        let record = Record { mode: directory(0o700), links: 2, size, blocks, time, content, ..Record::default() };
        record.encode(LOST_FOUND_INODE, self.seed).map_err(own_inode)
    }

    /// The inodes that no directory names, and the journal. Returns the journal's inode.
    fn own_inodes(&mut self, identity: &Identity) -> Result<Option<[u8; INODE_BYTES]>, Error> {
        let own = Record { mode: file_mode::S_IFREG | 0o600, links: 1, time: identity.now, ..Record::default() };
        let map = resize::block_map(self.layout);
        let record = Record {
            size: resize::SIZE,
            blocks: resize::blocks(self.layout),
            content: Content::Indirect(&map),
            ..own.clone()
        };
        let inode = record.encode(RESIZE_INODE, self.seed).map_err(own_inode)?;
        self.put(RESIZE_INODE, &inode)?;

        let Some(place) = &self.layout.journal else { return Ok(None) };
        let mut tree = place.tree.iter().copied();
        let seed = self.seed.map(|seed| inode_seed(seed, JOURNAL_INODE));
        let disk = &mut self.image.disk;
        let root = build(place.data.extents(), seed, |block| {
            let place = tree.next().unwrap_or(0); // the layout counted them
            disk.write_blocks(place, block)?;
            Ok::<_, Error>(place)
        })?;
        let blocks = place.data.blocks();
        let length = u32::try_from(blocks).unwrap_or(u32::MAX);
        if let Some(first) = place.data.extents().first() {
            disk.write_blocks(first.start, &journal::superblock(length, identity.uuid))?;
        }
        let record = Record {
            size: place.data.size(),
            blocks: blocks + place.tree.len() as u64,
            content: Content::Extents(&root),
            ..own
        };
        let inode = record.encode(JOURNAL_INODE, self.seed).map_err(own_inode)?;
        self.put(JOURNAL_INODE, &inode)?;
        Ok(Some(inode))
    }

    fn put(&mut self, number: u32, inode: &[u8; INODE_BYTES]) -> Result<(), Error> {
        let at = u64::from(number) - 1;
        let group = usize::try_from(at / self.layout.inodes_per_group).unwrap_or(usize::MAX);
        let offset = byte(self.layout.inode_tables[group]) + at % self.layout.inodes_per_group * INODE_BYTES as u64;
        self.image.disk.write(offset, inode)
    }

    /// Writes the bitmaps; gives all descriptors, filled up to whole blocks.
    fn groups(&mut self, unused: &[Range<u64>], used_inodes: u64) -> Result<(Vec<u8>, Totals), Error> {
        let layout = self.layout;
        let mut totals = Totals::default();
        let mut descriptors = Vec::new();
        let mut inode_bitmaps = Vec::new();
        for (number, group) in (0_u32..).zip(0..layout.groups()) {
            let at = usize::try_from(group).unwrap_or(usize::MAX);
            let mut flags = if self.seed.is_some() { bg_flags::INODE_ZEROED } else { 0 };

            let bitmap = block_bitmap(layout, unused, group);
            let free = free_blocks(layout, group, bitmap.as_ref());
            let mut block_sum = 0;
            match (&bitmap, self.seed) {
                (None, Some(_)) => flags |= bg_flags::BLOCK_UNINIT,
                (None, None) => {
                    let bitmap = crate::ext4::layout::bitmap::fixed_only(layout, group);
                    self.image.disk.write_unless_zero(layout.block_bitmaps[at], &bitmap)?;
                }
                (Some(bitmap), seed) => {
                    self.image.disk.write_unless_zero(layout.block_bitmaps[at], bitmap)?;
                    block_sum = seed.map_or(0, |seed| crc(seed, bitmap));
                }
            }

            let used = used_inodes.saturating_sub(group * layout.inodes_per_group).min(layout.inodes_per_group);
            let unused_inodes = layout.inodes_per_group - used;
            let mut inode_sum = 0;
            if used == 0 && self.seed.is_some() {
                flags |= bg_flags::INODE_UNINIT;
            } else {
                let bitmap = inode_bitmap(layout, used);
                let counted = usize::try_from(layout.inodes_per_group / 8).unwrap_or(BLOCK);
                inode_sum = self.seed.map_or(0, |seed| crc(seed, &bitmap[..counted]));
                inode_bitmaps.push((layout.inode_bitmaps[at], used));
            }
            let descriptor = GroupDescriptor {
                block_bitmap_lo: layout.block_bitmaps[at],
                inode_bitmap_lo: layout.inode_bitmaps[at],
                inode_table_lo: layout.inode_tables[at],
                free_blocks_count_lo: count(free),
                free_inodes_count_lo: count(unused_inodes),
                used_dirs_count_lo: self.directories.get(at).copied().unwrap_or(0),
                flags,
                exclude_bitmap_lo: 0,
                block_bitmap_csum_lo: low16(block_sum),
                inode_bitmap_csum_lo: low16(inode_sum),
                itable_unused_lo: if self.seed.is_some() { count(unused_inodes) } else { 0 },
                checksum: 0,
            };
            descriptors.extend_from_slice(&encode_descriptor(&descriptor, number, self.seed));
            totals.free_blocks += free;
            totals.free_inodes += unused_inodes;
        }
        // All block bitmaps stand before all inode bitmaps: written in this order, they are few large writes.
        for (block, used) in inode_bitmaps {
            self.image.disk.write_unless_zero(block, &inode_bitmap(layout, used))?;
        }
        descriptors.resize(descriptors.len().next_multiple_of(BLOCK), 0);
        Ok((descriptors, totals))
    }
}

/// The root of a tree that fits the inode.
fn inline_root(data: &FileData) -> crate::ext4::format::extent_tree::Root {
    let fits = if tree_blocks(data.extents()) == 0 { data.extents() } else { &[] };
    build(fits, None, |_| Ok::<_, std::convert::Infallible>(0)).unwrap_or_else(|never| match never {})
}

fn inline_or_tree(places: &Places, number: u32, data: &FileData) -> crate::ext4::format::extent_tree::Root {
    places.tree(number).map_or_else(|| inline_root(data), |tree| tree.root)
}

/// What goes wrong with an inode that is not in the tree: only the time of creation can.
fn own_inode(error: InodeError) -> Error {
    Error::Option(error.to_string())
}

/// A count of at most 32768.
fn count(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn low16(sum: u32) -> u16 {
    let [a, b, ..] = sum.to_le_bytes();
    u16::from_le_bytes([a, b])
}
