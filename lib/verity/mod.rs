//! dm-verity hash trees (rule E12), by which the kernel or `veritysetup verify` detect any change to a file system.
//!
//! Format: the kernel's `Documentation/admin-guide/device-mapper/verity.rst` and cryptsetup's on-disk format of dm-verity,
//! version 1. Here the hash is SHA-256 and all blocks have 4096 bytes. A block's hash covers the salt and the block; 128
//! hashes make a block of the next level, until one block is left, whose hash is the root hash. On disk the `superblock`
//! comes first, then the levels, highest first (`levels`).
//!
//! [`hash`] reads the data, passes the blocks of the tree to a callback and returns the root hash. It uses all processors
//! and a few MiB of memory whatever the size, and does not read holes: equal blocks are hashed once per level (`tree`).

mod file;
mod levels;
mod parallel;
mod superblock;
mod tree;

pub use file::{FileFrom, write_tree};
pub use levels::Levels;
pub use parallel::{DataDevice, hash};
pub use superblock::{SUPERBLOCK_BYTES, Superblock};
pub use tree::Salt;

/// The size of data blocks and tree blocks in bytes.
pub const BLOCK_BYTES: u64 = 4096;
/// The same, for indexing.
const BLOCK: usize = 4096;
/// The size of a hash in bytes.
const HASH: usize = 32;

/// A SHA-256 hash.
pub type Hash = [u8; HASH];

#[cfg(test)]
mod tests;
