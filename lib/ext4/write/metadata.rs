//! Writes content other than file data: directories, long symlinks, attribute blocks, extent trees.

use std::collections::HashMap;
use std::ops::Range;

use crate::ext4::error::Error;
use crate::ext4::format::dir_entry::{DirEntry, EXT4_FT_DIR, file_type};
use crate::ext4::format::directory::{DirFormat, DirOwner};
use crate::ext4::format::extent_tree::{Root, build, tree_blocks};
use crate::ext4::format::inode::FAST_SYMLINK;
use crate::ext4::format::xattr_block::XattrBlocks;
use crate::ext4::layout::directory::DirectoryPlan;
use crate::ext4::layout::file_data::FileData;
use crate::ext4::layout::inode_numbering::{InodeNumbering, LOST_FOUND};
use crate::ext4::layout::xattrs;
use crate::ext4::limits::check_symlink;
use crate::ext4::number::{BLOCK, BlockNumber, InodeNumber};
use crate::ext4::tree::FileTree;
use crate::ext4::write::block_writer::BlockWriter;
use crate::ext4::write::directory::write_directory;
use crate::ext4::write::target::Target;
use crate::meta::NodeKind;

/// The size of `lost+found` in blocks, as with `mke2fs`: space for `e2fsck` when nothing else is left.
const LOST_FOUND_BLOCKS: u32 = 4;

/// Where content other than file data is, by inode number.
#[derive(Debug, Default)]
pub(crate) struct MetadataBlocks {
    /// Directories and long symlinks, in ascending order.
    content: Vec<Mapped>,
    /// The attribute blocks of inodes, in ascending order.
    xattrs: Vec<(InodeNumber, BlockNumber)>,
    /// Extent trees that do not fit into their inodes.
    trees: HashMap<InodeNumber, ExtentTree>,
}

#[derive(Debug)]
struct Mapped {
    number: InodeNumber,
    indexed: bool,
    data: FileData,
}

#[derive(Debug)]
pub(crate) struct ExtentTree {
    pub(crate) root: Root,
    pub(crate) blocks: u64,
}

impl MetadataBlocks {
    /// The blocks of a directory or long symlink, and whether it is an indexed directory.
    pub(crate) fn content(&self, number: InodeNumber) -> Option<(&FileData, bool)> {
        let at = self.content.binary_search_by_key(&number, |mapped| mapped.number).ok()?;
        Some((&self.content[at].data, self.content[at].indexed))
    }

    /// `i_file_acl`
    pub(crate) fn xattr_block(&self, number: InodeNumber) -> Option<BlockNumber> {
        let at = self.xattrs.binary_search_by_key(&number, |&(number, _)| number).ok()?;
        Some(self.xattrs[at].1)
    }

    /// The extent tree of an inode, if it does not fit into the inode.
    pub(crate) fn tree(&self, number: InodeNumber) -> Option<&ExtentTree> {
        self.trees.get(&number)
    }
}

impl<T: Target> BlockWriter<T> {
    /// Writes all metadata content.
    pub(crate) fn place(
        &mut self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
        format: &DirFormat,
    ) -> Result<MetadataBlocks, Error> {
        let mut placed = MetadataBlocks::default();
        for (number, id) in numbers.in_order() {
            let content = match id.map(|id| (id, tree.inode(id).kind)) {
                None => Some(self.directory(tree, numbers, format, None)?),
                Some((id, NodeKind::Directory)) => Some(self.directory(tree, numbers, format, Some(id))?),
                Some((id, NodeKind::Symlink(target))) => {
                    check_symlink(target).map_err(|source| numbers.refuse(tree, id, source))?;
                    self.symlink(target)?
                }
                Some(_) => None,
            };
            if let Some((data, indexed)) = content {
                placed.content.push(Mapped { number, indexed, data });
            }
        }
        self.xattrs(tree, numbers, format, &mut placed)?;
        self.trees(tree, numbers, format, &mut placed)?;
        self.disk.flush()?;
        Ok(placed)
    }

    fn directory(
        &mut self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
        format: &DirFormat,
        id: Option<u32>,
    ) -> Result<(FileData, bool), Error> {
        let inode = id.map_or(InodeNumber::LOST_FOUND, |id| numbers.number(id));
        let parent = id.map_or(InodeNumber::ROOT, |id| numbers.number(numbers.parent(id)));
        let mut entries = Vec::new();
        if inode == InodeNumber::ROOT && numbers.lost_found().is_none() {
            entries.push(DirEntry { name: LOST_FOUND, inode: InodeNumber::LOST_FOUND, file_type: EXT4_FT_DIR });
        }
        entries.extend(id.into_iter().flat_map(|id| tree.children(id)).map(|(name, child)| DirEntry {
            name,
            inode: numbers.number(child),
            file_type: file_type(tree.inode(child).kind),
        }));
        let least = if inode == InodeNumber::LOST_FOUND { LOST_FOUND_BLOCKS } else { 1 };
        let plan = DirectoryPlan::new(&entries, format, least)
            .map_err(|error| numbers.refuse(tree, id.unwrap_or(tree.root()), error.into()))?;
        let mut data = FileData::hole(u64::from(plan.blocks) * BLOCK as u64);
        write_directory(&plan, &entries, DirOwner { inode, parent }, format, |blocks| self.append(&mut data, blocks))?;
        Ok((data, plan.index.is_some()))
    }

    /// Writes a target that does not fit into the inode to a block.
    fn symlink(&mut self, target: &[u8]) -> Result<Option<(FileData, bool)>, Error> {
        if target.len() < FAST_SYMLINK {
            return Ok(None);
        }
        let mut data = FileData::hole(target.len() as u64);
        let mut block = [0; BLOCK];
        block[..target.len()].copy_from_slice(target);
        self.append(&mut data, &block)?;
        Ok(Some((data, false)))
    }

    fn xattrs(
        &mut self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
        format: &DirFormat,
        placed: &mut MetadataBlocks,
    ) -> Result<(), Error> {
        let mut blocks = XattrBlocks::new();
        let mut users = Vec::new();
        let mut first_users = Vec::new();
        for (number, id) in numbers.in_order().filter_map(|(number, id)| Some((number, id?))) {
            let inode = tree.inode(id);
            if inode.xattrs.is_empty() {
                continue;
            }
            let encoded = xattrs::encode(inode.meta.mode, inode.kind, inode.xattrs, &mut blocks)
                .map_err(|error| numbers.refuse(tree, id, error.into()))?;
            let Some(block) = encoded.block else { continue };
            if block as usize == first_users.len() {
                first_users.push(id);
            }
            users.push((number, block));
        }
        let mut stands = Vec::with_capacity(blocks.count());
        let mut out = [0; BLOCK];
        // Encoded again from the first inode that uses it, so that values need not be held twice.
        for (index, id) in first_users.into_iter().enumerate() {
            let inode = tree.inode(id);
            let image = xattrs::block_image(inode.meta.mode, inode.kind, inode.xattrs);
            let Some(image) = image.map_err(|error| numbers.refuse(tree, id, error.into()))? else { continue };
            let (number, _) = self.take(1)?;
            blocks.write(index, &image, number, format.checksum_seed, &mut out);
            self.disk.write_blocks(number, &out)?;
            stands.push(number);
        }
        placed.xattrs = users.into_iter().map(|(number, block)| (number, stands[block as usize])).collect();
        Ok(())
    }

    fn trees(
        &mut self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
        format: &DirFormat,
        placed: &mut MetadataBlocks,
    ) -> Result<(), Error> {
        for (number, id) in numbers.in_order() {
            let data = match id.map(|id| tree.inode(id).kind) {
                Some(NodeKind::File(data)) => data,
                Some(NodeKind::Directory) | None => match placed.content(number) {
                    Some((data, _)) => data,
                    None => continue,
                },
                Some(_) => continue,
            };
            let blocks = tree_blocks(data.extents());
            if blocks > 0 {
                let seed = format.checksum_seed.map(|seed| seed.of_inode(number));
                let root = build(data.extents(), seed, |block| {
                    let (place, _) = self.take(1)?;
                    self.disk.write_blocks(place, block)?;
                    Ok::<_, Error>(place)
                })?;
                placed.trees.insert(number, ExtentTree { root, blocks });
            }
        }
        Ok(())
    }

    /// The ranges of content that no file of the tree uses, because later files replaced theirs.
    pub(crate) fn replaced(
        &mut self,
        tree: &impl FileTree,
        numbers: &InodeNumbering,
    ) -> Result<Vec<Range<u64>>, Error> {
        if numbers.data_blocks > self.content {
            return Err(Error::Tree { id: tree.root(), reason: "two inodes have the same content" });
        }
        if numbers.data_blocks == self.content {
            return Ok(Vec::new());
        }
        let mut used: Vec<(BlockNumber, u32)> = Vec::new();
        for id in 0..tree.inodes() {
            if let NodeKind::File(data) = tree.inode(id).kind {
                used.extend(data.extents().iter().map(|extent| (extent.start, extent.len)));
            }
        }
        used.sort_unstable();
        let mut unused = Vec::new();
        let mut at = 0;
        for (start, end) in used.into_iter().map(|(start, len)| (u64::from(start), u64::from(start) + u64::from(len))) {
            if at < start {
                unused.push(at..start);
            }
            at = end;
        }
        if at < self.allocator.end() {
            unused.push(at..self.allocator.end());
        }
        Ok(unused)
    }
}
