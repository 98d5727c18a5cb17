//! What all blocks of a directory have in common.

use super::checksum::ChecksumSeed;
use super::name_hash::{HashSeed, HashSign};
use crate::ext4::number::InodeNumber;

/// What a file system says about all its directories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirFormat {
    /// The file system's checksum seed; none without `metadata_csum`.
    pub(crate) checksum_seed: Option<ChecksumSeed>,
    /// `s_hash_seed`
    pub(crate) hash_seed: HashSeed,
    /// The signedness declared in `s_flags`.
    pub(crate) hash_sign: HashSign,
}

impl DirFormat {
    /// The seed of a directory's own blocks.
    pub(crate) fn seed_of(&self, owner: DirOwner) -> Option<ChecksumSeed> {
        self.checksum_seed.map(|seed| seed.of_inode(owner.inode))
    }
}

/// The directory's own inode and its parent's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirOwner {
    /// The directory's inode number.
    pub(crate) inode: InodeNumber,
    /// Where `..` leads; the root's is the root.
    pub(crate) parent: InodeNumber,
}
