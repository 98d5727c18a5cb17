//! What goes where, and how much of it: pure arithmetic on block and inode numbers, without I/O.

pub(crate) mod bitmap;
pub(crate) mod block_allocator;
pub(crate) mod block_group;
pub(crate) mod demand;
pub(crate) mod dir_index;
pub(crate) mod directory;
pub(crate) mod file_data;
pub(crate) mod image_layout;
pub(crate) mod inode_numbering;
mod journal;
pub(crate) mod reserved_blocks;
pub(crate) mod resize_inode;
pub(crate) mod xattrs;
