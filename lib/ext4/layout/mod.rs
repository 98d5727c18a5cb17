//! What stands where, and how much of it there is: pure arithmetic on block and inode numbers. No I/O, no bytes.

pub(crate) mod bitmap;
pub(crate) mod block_group;
pub(crate) mod demand;
pub(crate) mod directory;
pub(crate) mod file_data;
pub(crate) mod inode_numbering;
pub(crate) mod resize_inode;
