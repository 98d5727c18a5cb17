//! Writes an ext4 file system in a single pass, file content first (rules E1 to E13).
//!
//! [`ImageWriter`] places file content at its final blocks while it arrives, and writes everything else once, when
//! the tree is known: directories, extents, attributes, journal, bitmaps, inode tables, descriptors, superblock.
//! There is no clock and no random source in here: what must be unique or current is handed in as [`Identity`].
//!
//! Three rooms, each of which knows only those above it:
//!
//! * `format`: the on-disk structures, bytes of one structure a file. An extent tree's leaf is in `extent`, its inner
//!   blocks in `extent_tree`; a name in `dir_entry`, a directory's block with its tail in `dir_block`, its index in
//!   `htree` and `name_hash`; attributes in `xattr_entry`, `xattr_block`, `acl`; what a checksum is in `checksum`, and
//!   what it covers in the file of the structure that has it.
//! * `layout`: what stands where, pure arithmetic. `block_group`, `reserved_blocks` (superblocks, descriptors) and
//!   `block_allocator` (the blocks between) say how writing in one pass is possible at all; `demand` how large the file system
//!   must be, `plan` what comes of it; `directory` and `dir_index` cut directories into blocks, `xattrs` parts attributes
//!   between inode and block, `inode_numbering` numbers the tree's inodes.
//! * `write`: content as it comes (`content`, `block_writer`), then the rest in the order of `finish`, through a
//!   [`Target`].
//!
//! What no image can hold is in `limits`. The on-disk format is the one of the kernel's
//! `Documentation/filesystems/ext4`; the values of fields follow what `mke2fs` writes. Where this module names a field,
//! it uses the kernel's name (`s_`, `bg_`, `i_`, `ee_`).

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
