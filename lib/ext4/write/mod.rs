//! Writes content as it comes, then everything else, to a [`Target`](target::Target).

mod bitmaps;
mod block_writer;
mod content;
mod directory;
mod disk;
mod finish;
pub(crate) mod image_writer;
mod inode_tables;
mod metadata;
pub(crate) mod superblock;
pub(crate) mod target;
pub(crate) mod write_behind;
