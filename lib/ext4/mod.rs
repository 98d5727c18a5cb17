//! Writes an ext4 file system in a single pass, file content first (rules E1 to E13).
//!
//! [`ImageWriter`] puts file content into its final blocks as it arrives, and writes everything else once, when the
//! tree is known: directories, extents, attributes, journal, bitmaps, inode tables, descriptors, superblock. It uses
//! neither a clock nor a random source: whatever must be unique or current is passed in as [`Identity`].
//!
//! There are three parts, each of which only uses those above it:
//!
//! * `format`: the on-disk structures, one per file. The leaves of an extent tree are in `extent`, its inner blocks in
//!   `extent_tree`; names in `dir_entry`, the blocks of a directory with their tails in `dir_block`, its index in `htree` and
//!   `name_hash`; attributes in `xattr_entry`, `xattr_block` and `acl`; the computation of checksums in `checksum`, and what
//!   they cover in the files of the structures that have them.
//! * `layout`: what goes where, pure arithmetic. `block_group`, `reserved_blocks` (superblocks, descriptors) and
//!   `block_allocator` (the blocks between) make writing in one pass possible; `demand` computes how large the file system must
//!   be, `image_layout` is the result; `directory` and `dir_index` divide directories into blocks, `xattrs` divides
//!   attributes between inode and block, `inode_numbering` numbers the inodes of the tree.
//! * `write`: writes content as it comes (`content`, `block_writer`), then the rest in the order of `finish`, to a
//!   [`Target`].
//!
//! `limits` knows what an image can hold. The on-disk format is that of the kernel's `Documentation/filesystems/ext4`;
//! field values follow `mke2fs`. Fields have the kernel's names (`s_`, `bg_`, `i_`, `ee_`).

mod error;
mod format;
mod layout;
mod limits;
mod number;
mod options;
mod tree;
mod write;

pub use error::{Error, Origin};
pub use format::extent::Extent;
pub use format::time::clamp_time;
pub use layout::directory::DirError;
pub use layout::file_data::FileData;
pub use layout::xattrs::{XattrError, check_name as check_xattr_name};
pub use limits::{InodeError, check, check_path};
pub use number::{BLOCK_SIZE, BlockNumber};
pub use options::{Free, Identity, Journal, Options, Percent};
pub use tree::{FileTree, InodeRef};
pub use write::image_writer::{ImageWriter, Report};
pub use write::target::{FreshFile, InPlace, Target};
pub use write::write_behind::WriteBehind;
