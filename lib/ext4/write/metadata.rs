//! Content that is not file data: directories, long symlinks, attribute blocks, extent trees.

use std::collections::HashMap;
use std::ops::Range;

use crate::ext4::format::dir_block::{BLOCK, inode_seed};
use crate::ext4::format::extent_tree::{Root, build, tree_blocks};
use crate::ext4::format::inode::FAST_SYMLINK;
use crate::ext4::layout::directory::{DirEntry, DirFormat, DirOwner, DirectoryPlan, FileType};
use crate::ext4::layout::inode_numbering::{LOST_FOUND, LOST_FOUND_INODE, ROOT_INODE, Scan};
use crate::ext4::{Error, FileData, FileTree, ImageWriter, InodeError, Target, XattrBlocks, encode_xattrs};
use crate::meta::NodeKind;

/// Blocks of `lost+found`, as `mke2fs` makes it: room for `e2fsck` when nothing else is left.
const LOST_FOUND_BLOCKS: u32 = 4;
/// `PATH_MAX` less the final NUL.
const MAX_SYMLINK: usize = 4095;

/// Where everything that is no file data stands, by inode number.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Directories and long symlinks, in ascending order.
    own: Vec<OwnBlocks>,
    /// Which attribute block an inode uses, in ascending order.
    xattrs: Vec<(u32, u32)>,
    /// Extent trees that do not fit their inode.
    trees: HashMap<u32, Tree>,
}

#[derive(Debug)]
struct OwnBlocks {
    number: u32,
    indexed: bool,
    data: FileData,
}

#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Root,
    pub(crate) blocks: u64,
}

impl Places {
    /// A directory's or long symlink's blocks, and whether it is an indexed directory.
    pub(crate) fn own(&self, number: u32) -> Option<(&FileData, bool)> {
        let at = self.own.binary_search_by_key(&number, |own| own.number).ok()?;
        Some((&self.own[at].data, self.own[at].indexed))
    }

    /// `i_file_acl`
    pub(crate) fn xattr_block(&self, number: u32) -> Option<u32> {
        let at = self.xattrs.binary_search_by_key(&number, |&(number, _)| number).ok()?;
        Some(self.xattrs[at].1)
    }

    /// The extent tree of an inode with more extents than fit into it.
    pub(crate) fn tree(&self, number: u32) -> Option<&Tree> {
        self.trees.get(&number)
    }
}

/// All ids in the order of their inode numbers; none for a `lost+found` that the tree does not have.
pub(crate) fn in_order(scan: &Scan) -> impl Iterator<Item = (u32, Option<u32>)> + use<> {
    let first = [(ROOT_INODE, Some(scan.root())), (LOST_FOUND_INODE, scan.lost_found())];
    first.into_iter().chain((LOST_FOUND_INODE + 1..).zip(scan.ordinary().map(Some)))
}

impl<T: Target> ImageWriter<T> {
    /// Writes all of it.
    pub(crate) fn place(&mut self, tree: &impl FileTree, scan: &Scan, format: &DirFormat) -> Result<Places, Error> {
        let mut places = Places::default();
        for (number, id) in in_order(scan) {
            let own = match id.map(|id| (id, tree.inode(id).kind)) {
                None => Some(self.directory(tree, scan, format, None)?),
                Some((id, NodeKind::Directory)) => Some(self.directory(tree, scan, format, Some(id))?),
                Some((id, NodeKind::Symlink(target))) => {
                    self.symlink(target).map_err(|error| error.locate(|source| scan.refuse(tree, id, source)))?
                }
                Some(_) => None,
            };
            if let Some((data, indexed)) = own {
                places.own.push(OwnBlocks { number, indexed, data });
            }
        }
        self.xattrs(tree, scan, format, &mut places)?;
        self.trees(tree, scan, format, &mut places)?;
        self.disk.flush()?;
        Ok(places)
    }

    fn directory(
        &mut self,
        tree: &impl FileTree,
        scan: &Scan,
        format: &DirFormat,
        id: Option<u32>,
    ) -> Result<(FileData, bool), Error> {
        let inode = id.map_or(LOST_FOUND_INODE, |id| scan.number(id));
        let parent = id.map_or(ROOT_INODE, |id| scan.number(scan.parent(id)));
        let mut entries = Vec::new();
        if inode == ROOT_INODE && scan.lost_found().is_none() {
            entries.push(DirEntry { name: LOST_FOUND, inode: LOST_FOUND_INODE, file_type: FileType::Directory });
        }
        entries.extend(id.into_iter().flat_map(|id| tree.children(id)).map(|(name, child)| DirEntry {
            name,
            inode: scan.number(child),
            file_type: FileType::from(tree.inode(child).kind),
        }));
        let least = if inode == LOST_FOUND_INODE { LOST_FOUND_BLOCKS } else { 1 };
        let plan = DirectoryPlan::new(&entries, format, least)
            .map_err(|error| scan.refuse(tree, id.unwrap_or(tree.root()), error.into()))?;
        let mut data = FileData::hole(u64::from(plan.blocks()) * BLOCK as u64);
        plan.write(&entries, DirOwner { inode, parent }, format, |blocks| self.append(&mut data, blocks))?;
        Ok((data, plan.is_indexed()))
    }

    /// A target that does not fit the inode gets a block.
    fn symlink(&mut self, target: &[u8]) -> Result<Option<(FileData, bool)>, Refusal> {
        if target.is_empty() || target.len() > MAX_SYMLINK {
            return Err(Refusal::Inode(InodeError::SymlinkLength(target.len())));
        }
        if target.contains(&0) {
            return Err(Refusal::Inode(InodeError::SymlinkNul));
        }
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
        scan: &Scan,
        format: &DirFormat,
        places: &mut Places,
    ) -> Result<(), Error> {
        let mut blocks = XattrBlocks::new();
        for (number, id) in in_order(scan).filter_map(|(number, id)| Some((number, id?))) {
            let inode = tree.inode(id);
            if inode.xattrs.is_empty() {
                continue;
            }
            let encoded = encode_xattrs(inode.meta.mode, FileType::from(inode.kind), inode.xattrs, &mut blocks)
                .map_err(|error| scan.refuse(tree, id, error.into()))?;
            places.xattrs.extend(encoded.block.map(|block| (number, block)));
        }
        let mut numbers = Vec::with_capacity(blocks.count());
        let mut out = [0; BLOCK];
        for index in 0..blocks.count() {
            let (number, _) = self.take(1)?;
            blocks.write(index, number.into(), format.checksum_seed, &mut out);
            self.disk.write_blocks(number, &out)?;
            numbers.push(number);
        }
        for (_, block) in &mut places.xattrs {
            *block = numbers[*block as usize];
        }
        Ok(())
    }

    fn trees(
        &mut self,
        tree: &impl FileTree,
        scan: &Scan,
        format: &DirFormat,
        places: &mut Places,
    ) -> Result<(), Error> {
        for (number, id) in in_order(scan) {
            let data = match id.map(|id| tree.inode(id).kind) {
                Some(NodeKind::File(data)) => data,
                Some(NodeKind::Directory) | None => match places.own(number) {
                    Some((data, _)) => data,
                    None => continue,
                },
                Some(_) => continue,
            };
            let blocks = tree_blocks(data.extents());
            if blocks > 0 {
                let seed = format.checksum_seed.map(|seed| inode_seed(seed, number));
                let root = build(data.extents(), seed, |block| {
                    let (place, _) = self.take(1)?;
                    self.disk.write_blocks(place, block)?;
                    Ok::<_, Error>(place)
                })?;
                places.trees.insert(number, Tree { root, blocks });
            }
        }
        Ok(())
    }

    /// The ranges of content that no file of the tree has, because a later file replaced theirs.
    pub(crate) fn replaced(&mut self, tree: &impl FileTree, scan: &Scan) -> Result<Vec<Range<u64>>, Error> {
        if scan.data_blocks > self.content {
            return Err(Error::Tree { id: tree.root(), reason: "two inodes have the same content" });
        }
        if scan.data_blocks == self.content {
            return Ok(Vec::new());
        }
        let mut used: Vec<(u32, u32)> = Vec::new();
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
        if at < self.cursor.end() {
            unused.push(at..self.cursor.end());
        }
        Ok(unused)
    }
}

/// An error that does not know its file yet.
enum Refusal {
    Inode(InodeError),
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Refusal {
    fn locate(self, at: impl FnOnce(InodeError) -> Error) -> Error {
        match self {
            Self::Inode(source) => at(source),
            Self::Other(error) => error,
        }
    }
}
