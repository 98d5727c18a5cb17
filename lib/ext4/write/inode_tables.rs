//! Writes the inodes to the tables of their groups.

use std::convert::Infallible;

use arcbox_ext4::constants::file_mode;

use crate::ext4::error::Error;
use crate::ext4::format::checksum::ChecksumSeed;
use crate::ext4::format::extent_tree::{Root, build, tree_blocks};
use crate::ext4::format::inode::{FAST_SYMLINK, IBlock, INODE_BYTES, InodeFields, directory};
use crate::ext4::format::journal::superblock;
use crate::ext4::format::xattr_block::XattrBlocks;
use crate::ext4::layout::file_data::FileData;
use crate::ext4::layout::image_layout::ImageLayout;
use crate::ext4::layout::inode_numbering::InodeNumbering;
use crate::ext4::layout::resize_inode as resize;
use crate::ext4::layout::xattrs;
use crate::ext4::limits::{InodeError, encode_device};
use crate::ext4::number::{BlockNumber, InodeNumber, exact};
use crate::ext4::options::Identity;
use crate::ext4::tree::FileTree;
use crate::ext4::write::disk::Disk;
use crate::ext4::write::metadata::MetadataBlocks;
use crate::ext4::write::target::Target;
use crate::meta::{NodeKind, Timestamp};

/// Writes inode tables.
pub(crate) struct InodeTables<'a, T> {
    pub(crate) disk: &'a mut Disk<T>,
    pub(crate) layout: &'a ImageLayout,
    pub(crate) seed: Option<ChecksumSeed>,
    /// The number of directories in each group, up to the last group that has any.
    pub(crate) directories: Vec<u16>,
}

impl<T: Target> InodeTables<'_, T> {
    /// Writes all inodes that have a name.
    pub(crate) fn inodes(
        &mut self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
        placed: &MetadataBlocks,
        now: Timestamp,
    ) -> Result<(), Error> {
        for (number, id) in numbers.in_order() {
            let inode = match id {
                Some(id) => {
                    self.inode(tree, numbers, placed, number, id).map_err(|source| numbers.refuse(tree, id, source))?
                }
                None => self.lost_found(placed, now),
            };
            self.put(number, &inode)?;
            if id.is_none_or(|id| matches!(tree.inode(id).kind, NodeKind::Directory)) {
                let group: usize = exact(number.index() / self.layout.inodes_per_group);
                self.directories.resize(self.directories.len().max(group + 1), 0);
                self.directories[group] += 1; // at most 32768
            }
        }
        Ok(())
    }

    fn inode(
        &self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
        placed: &MetadataBlocks,
        number: InodeNumber,
        id: u32,
    ) -> Result<[u8; INODE_BYTES], InodeError> {
        let node = tree.inode(id);
        let is_directory = matches!(node.kind, NodeKind::Directory);
        let encoded = xattrs::encode(node.meta.mode, node.kind, node.xattrs, &mut XattrBlocks::new())?;
        let xattr_block = placed.xattr_block(number);
        let mut fields = InodeFields {
            uid: node.meta.uid,
            gid: node.meta.gid,
            links: numbers.links(id, is_directory),
            time: node.meta.mtime,
            xattrs: &encoded.inode,
            xattr_block,
            blocks: u64::from(xattr_block.is_some()),
            ..InodeFields::default()
        };
        let mode = encoded.mode & 0o7777;
        let root;
        let content;
        let data = match node.kind {
            NodeKind::File(data) => Some((data, false)),
            _ => {
                content = placed.content(number);
                content
            }
        };
        if let Some((data, indexed)) = data {
            fields.indexed = indexed;
            fields.size = data.size();
            fields.blocks += data.blocks();
            root = match placed.tree(number) {
                Some(tree) => {
                    fields.blocks += tree.blocks;
                    tree.root
                }
                None => inline_root(data),
            };
            fields.content = IBlock::Extents(&root);
        }
        fields.mode = mode
            | match node.kind {
                NodeKind::Directory => file_mode::S_IFDIR,
                NodeKind::File(_) => file_mode::S_IFREG,
                NodeKind::Symlink(target) => {
                    if target.len() < FAST_SYMLINK {
                        fields.size = target.len() as u64;
                        fields.content = IBlock::Target(target);
                    }
                    file_mode::S_IFLNK
                }
                NodeKind::CharDevice(device) => {
                    fields.content = IBlock::Device(encode_device(*device)?);
                    file_mode::S_IFCHR
                }
                NodeKind::BlockDevice(device) => {
                    fields.content = IBlock::Device(encode_device(*device)?);
                    file_mode::S_IFBLK
                }
                NodeKind::Fifo => file_mode::S_IFIFO,
            };
        Ok(fields.encode(number, self.seed))
    }

    fn lost_found(&self, placed: &MetadataBlocks, time: Timestamp) -> [u8; INODE_BYTES] {
        let (size, blocks, root) = match placed.content(InodeNumber::LOST_FOUND) {
            Some((data, _)) => (data.size(), data.blocks(), inline_or_tree(placed, InodeNumber::LOST_FOUND, data)),
            None => (0, 0, inline_root(&FileData::EMPTY)),
        };
        let content = IBlock::Extents(&root);
        let fields =
            InodeFields { mode: directory(0o700), links: 2, size, blocks, time, content, ..InodeFields::default() };
        fields.encode(InodeNumber::LOST_FOUND, self.seed)
    }

    /// Writes the reserved inodes that are used, and the journal. Returns the inode of the journal.
    pub(crate) fn reserved_inodes(&mut self, identity: &Identity) -> Result<Option<[u8; INODE_BYTES]>, Error> {
        let common =
            InodeFields { mode: file_mode::S_IFREG | 0o600, links: 1, time: identity.now, ..InodeFields::default() };
        let map = resize::block_map(self.layout);
        let fields = InodeFields {
            size: resize::SIZE,
            blocks: resize::blocks(self.layout),
            content: IBlock::Indirect(&map),
            ..common.clone()
        };
        let inode = fields.encode(InodeNumber::RESIZE, self.seed);
        self.put(InodeNumber::RESIZE, &inode)?;

        let Some(journal) = &self.layout.journal else { return Ok(None) };
        let mut tree = journal.tree.iter().copied();
        let seed = self.seed.map(|seed| seed.of_inode(InodeNumber::JOURNAL));
        let root = build(journal.data.extents(), seed, |block| {
            let place = tree.next().expect("the layout counted them");
            self.disk.write_blocks(place, block)?;
            Ok::<_, Error>(place)
        })?;
        let blocks = journal.data.blocks();
        if let Some(first) = journal.data.extents().first() {
            self.disk.write_blocks(first.start, &superblock(exact(blocks), identity.uuid))?;
        }
        let fields = InodeFields {
            size: journal.data.size(),
            blocks: blocks + journal.tree.len() as u64,
            content: IBlock::Extents(&root),
            ..common
        };
        let inode = fields.encode(InodeNumber::JOURNAL, self.seed);
        self.put(InodeNumber::JOURNAL, &inode)?;
        Ok(Some(inode))
    }

    fn put(&mut self, number: InodeNumber, inode: &[u8; INODE_BYTES]) -> Result<(), Error> {
        let at = number.index();
        let group: usize = exact(at / self.layout.inodes_per_group);
        let offset = self.layout.inode_tables[group].byte() + at % self.layout.inodes_per_group * INODE_BYTES as u64;
        self.disk.write(offset, inode)
    }
}

/// The root of a tree that fits into the inode.
fn inline_root(data: &FileData) -> Root {
    let fits = if tree_blocks(data.extents()) == 0 { data.extents() } else { &[] };
    build(fits, None, |_| Ok::<_, Infallible>(BlockNumber::default())).unwrap_or_else(|never| match never {})
}

fn inline_or_tree(placed: &MetadataBlocks, number: InodeNumber, data: &FileData) -> Root {
    placed.tree(number).map_or_else(|| inline_root(data), |tree| tree.root)
}
