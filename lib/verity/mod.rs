//! dm-verity hash trees (rule E12): what lets a kernel, or `veritysetup verify`, see that no byte of a file system changed.
//!
//! Format: the kernel's `Documentation/admin-guide/device-mapper/verity.rst` and cryptsetup's on-disk format of dm-verity,
//! version 1. Here the hash is SHA-256 and all blocks have 4096 bytes. A block's hash is that of the salt and the block;
//! 128 hashes make a block of the level above, until one is left, whose hash is the root hash. On disk the
//! `superblock` comes first, then the levels, the highest first (`levels`).
//!
//! [`hash`] reads data, calls back with the tree's blocks and gives the root hash. All processors hash, the memory is
//! some MiB whatever the size, and what is a hole is not read: equal blocks are hashed once a level (`tree`).

mod file;
mod levels;
mod parallel;
mod superblock;
mod tree;

pub use file::{FileFrom, write_tree};
pub use levels::Levels;
pub use parallel::{Data, hash};
pub use superblock::{SUPERBLOCK_BYTES, Superblock};
pub use tree::Salt;

/// Bytes of a block, of data and of the tree alike.
pub const BLOCK_BYTES: u64 = 4096;
/// The same, to index with.
const BLOCK: usize = 4096;
/// Bytes of a hash.
const HASH: usize = 32;

/// A SHA-256 hash.
pub type Hash = [u8; HASH];

#[cfg(test)]
mod tests;
