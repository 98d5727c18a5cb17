//! Writes an ext4 file system in a single pass, file content first (rules E1 to E11).
//!
//! [`ImageWriter`] places file content at its final blocks while it arrives, and writes everything else once, when
//! the tree is known: directories, extents, attributes, journal, bitmaps, inode tables, descriptors, superblock.
//! `geometry` holds the arithmetic that makes this possible. There is no clock and no random source in here: what
//! must be unique or current is handed in as [`Identity`].
//!
//! The on-disk format is the one of the kernel's `Documentation/filesystems/ext4`; the values of fields follow what
//! `mke2fs` writes. Where this module names a field, it uses the kernel's name (`s_`, `bg_`, `i_`, `ee_`).

mod acl;
mod bitmap;
mod data;
mod dir;
mod dir_block;
mod disk;
mod error;
mod extent_tree;
mod file_data;
mod finish;
mod geometry;
mod hash;
mod htree;
mod inode;
mod journal;
mod layout;
mod options;
mod place;
mod resize;
mod scan;
mod superblock;
mod target;
mod tree;
mod write_behind;
mod writer;
mod xattr;
mod xattr_block;

pub use acl::AclError;
pub use dir::{DirEntry, DirError, DirFormat, DirOwner, DirectoryPlan, FileType, NAME_MAX};
pub use error::{Error, InodeError, Origin};
pub use file_data::{Extent, FileData};
pub use hash::{HashSeed, HashSign, NameHash, half_md4};
pub use inode::check_time;
pub use options::{Free, Identity, Journal, Options, Percent};
pub use target::{FreshFile, InPlace, Target};
pub use tree::{FileTree, InodeRef};
pub use write_behind::WriteBehind;
pub use writer::{ImageWriter, Report};
pub use xattr::{
    INODE_SPACE, InodeXattrs, XattrError, check as check_xattrs, check_name as check_xattr_name,
    encode as encode_xattrs,
};
pub use xattr_block::XattrBlocks;

/// Bytes of a block, at every image size (rule E5).
pub const BLOCK_SIZE: u32 = 4096;

#[cfg(test)]
mod tests;
