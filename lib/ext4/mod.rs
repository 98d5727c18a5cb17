//! Writes an ext4 file system in a single pass, file content first (rules E1 to E11).
//!
//! [`ImageWriter`] places file content at its final blocks while it arrives, and writes everything else once, when
//! the tree is known: directories, extents, attributes, journal, bitmaps, inode tables, descriptors, superblock.
//! `geometry` holds the arithmetic that makes this possible. There is no clock and no random source in here: what
//! must be unique or current is handed in as [`Identity`].
//!
//! The on-disk format is the one of the kernel's `Documentation/filesystems/ext4`; the values of fields follow what
//! `mke2fs` writes. Where this module names a field, it uses the kernel's name (`s_`, `bg_`, `i_`, `ee_`).

mod error;
mod format;
mod layout;
mod options;
mod tree;
mod write;

pub use error::{Error, InodeError, Origin};
pub use format::inode::check_time;
pub use format::name_hash::{HashSeed, HashSign, NameHash, half_md4};
pub use format::xattr::{
    INODE_SPACE, InodeXattrs, XattrError, check as check_xattrs, check_name as check_xattr_name,
    encode as encode_xattrs,
};
pub use format::xattr_block::XattrBlocks;
pub use layout::directory::{DirEntry, DirError, DirFormat, DirOwner, DirectoryPlan, FileType, NAME_MAX};
pub use layout::file_data::{Extent, FileData};
pub use options::{Free, Identity, Journal, Options, Percent};
pub use tree::{FileTree, InodeRef};
pub use write::image_writer::{ImageWriter, Report};
pub use write::target::{FreshFile, InPlace, Target};
pub use write::write_behind::WriteBehind;

/// Bytes of a block, at every image size (rule E5).
pub const BLOCK_SIZE: u32 = 4096;

#[cfg(test)]
mod tests;
