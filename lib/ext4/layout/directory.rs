//! A directory's content: its entries laid out in blocks, linear or indexed (E6).
//!
//! Format: "Directory Entries" in the kernel's ext4 documentation. Here a directory that fits one block is linear,
//! in the order given; a larger one is a hash tree ([`htree`](crate::ext4::format::htree)), its leaves sorted by name hash.
//!
//! [`DirectoryPlan::new`] says how many blocks a directory takes; [`DirectoryPlan::write`] hands them out in order.

use crate::ext4::format::dir_block::{BLOCK, LeafBuilder, record_length};
use crate::ext4::format::htree::Index;
use crate::ext4::format::name_hash::{HashSeed, HashSign};
use crate::meta::NodeKind;

/// The longest name, in bytes.
pub const NAME_MAX: usize = 255;

/// What a directory entry says about its inode: the `file_type` byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileType {
    /// `EXT4_FT_REG_FILE`
    File = 1,
    /// `EXT4_FT_DIR`
    Directory = 2,
    /// `EXT4_FT_CHRDEV`
    CharDevice = 3,
    /// `EXT4_FT_BLKDEV`
    BlockDevice = 4,
    /// `EXT4_FT_FIFO`
    Fifo = 5,
    /// `EXT4_FT_SYMLINK`
    Symlink = 7,
}

impl<C> From<&NodeKind<C>> for FileType {
    fn from(kind: &NodeKind<C>) -> Self {
        match kind {
            NodeKind::Directory => Self::Directory,
            NodeKind::File(_) => Self::File,
            NodeKind::Symlink(_) => Self::Symlink,
            NodeKind::CharDevice(_) => Self::CharDevice,
            NodeKind::BlockDevice(_) => Self::BlockDevice,
            NodeKind::Fifo => Self::Fifo,
        }
    }
}

/// One name in a directory; `.` and `..` are not given, the plan adds them.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// The name: 1 to 255 bytes, any but NUL and `/`.
    pub name: &'a [u8],
    /// The inode it names.
    pub inode: u32,
    /// That inode's type.
    pub file_type: FileType,
}

/// What a file system says about all its directories.
#[derive(Clone, Copy, Debug)]
pub struct DirFormat {
    /// `metadata_csum`: the file system's checksum seed, the raw CRC32C of its UUID. None without checksums.
    pub checksum_seed: Option<u32>,
    /// `s_hash_seed`
    pub hash_seed: HashSeed,
    /// The signedness declared in `s_flags`.
    pub hash_sign: HashSign,
}

/// The directory's own inode and its parent's. The inode's generation is taken to be 0.
#[derive(Clone, Copy, Debug)]
pub struct DirOwner {
    /// The directory's inode number.
    pub inode: u32,
    /// Where `..` leads; the root's is the root.
    pub parent: u32,
}

/// Why a directory cannot be stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirError {
    /// A name that no directory can hold.
    #[error("name of {length} bytes: {reason}")]
    Name {
        /// Where the entry stands in the list given.
        index: usize,
        /// Its length in bytes.
        length: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More entries than two levels of index reach; a third is the feature `large_dir`, which this writer does not use.
    #[error("directory of {entries} entries needs {leaves} blocks, its index reaches at most {limit}")]
    TooLarge {
        /// Names in the directory.
        entries: usize,
        /// Blocks that they fill.
        leaves: usize,
        /// Blocks that an index of two levels reaches.
        limit: usize,
    },
}

/// How a directory is cut into blocks.
#[derive(Debug)]
pub struct DirectoryPlan {
    blocks: u32,
    /// None: linear.
    index: Option<Index>,
}

impl DirectoryPlan {
    /// Lays out `entries`, whose names differ. A linear directory takes at least `min_blocks` blocks: `lost+found`
    /// has room in advance, because e2fsck fills it when nothing else can be trusted.
    ///
    /// Time is n log n; memory beyond the entries is 4 bytes each, 16 while sorting.
    ///
    /// # Errors
    /// A name that cannot be stored, or more entries than the index can hold.
    pub fn new(entries: &[DirEntry<'_>], format: &DirFormat, min_blocks: u32) -> Result<Self, DirError> {
        let mut bytes = record_length(1) + record_length(2);
        for (index, entry) in entries.iter().enumerate() {
            let length = entry.name.len();
            check_name(entry.name).map_err(|reason| DirError::Name { index, length, reason })?;
            bytes = bytes.saturating_add(record_length(length));
        }
        if bytes <= LeafBuilder::capacity(format) {
            return Ok(Self { blocks: min_blocks.max(1), index: None });
        }
        let index = Index::new(entries, format)?;
        Ok(Self { blocks: index.blocks(), index: Some(index) })
    }

    /// Blocks of 4 KiB: `i_size` is this times 4096.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Whether the inode carries `EXT4_INDEX_FL`.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// Hands out the directory's blocks in order, some at a time (whole blocks, at most 256 KiB).
    ///
    /// `entries` and `format` are those that the plan was made from.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn write<E>(
        &self,
        entries: &[DirEntry<'_>],
        owner: DirOwner,
        format: &DirFormat,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(index) = &self.index {
            return index.write(entries, owner, format, sink);
        }
        let mut leaf = LeafBuilder::new(format, owner);
        leaf.push(b".", owner.inode, FileType::Directory);
        leaf.push(b"..", owner.parent, FileType::Directory);
        for entry in entries {
            leaf.push(entry.name, entry.inode, entry.file_type);
        }
        let mut block = [0; BLOCK];
        leaf.finish(&mut block);
        sink(&block)?;
        for _ in 1..self.blocks {
            LeafBuilder::new(format, owner).finish(&mut block);
            sink(&block)?;
        }
        Ok(())
    }
}

fn check_name(name: &[u8]) -> Result<(), &'static str> {
    match name {
        b"" => Err("empty"),
        b"." | b".." => Err("reserved"),
        _ if name.len() > NAME_MAX => Err("longer than 255 bytes"),
        _ if name.iter().any(|&byte| byte == 0 || byte == b'/') => Err("holds NUL or a slash"),
        _ => Ok(()),
    }
}
