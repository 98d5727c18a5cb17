//! What the blocks of a directory have in common.

use super::checksum::ChecksumSeed;
use super::name_hash::HashSeed;
use crate::ext4::number::InodeNumber;

/// The properties of all directories of a file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirFormat {
    /// The file system's checksum seed; `None` without `metadata_csum`.
    pub(crate) checksum_seed: Option<ChecksumSeed>,
    /// `s_hash_seed`
    pub(crate) hash_seed: HashSeed,
}

impl DirFormat {
    /// The checksum seed for the blocks of a directory.
    pub(crate) fn seed_of(&self, owner: DirOwner) -> Option<ChecksumSeed> {
        self.checksum_seed.map(|seed| seed.of_inode(owner.inode))
    }
}

/// The inodes of a directory and its parent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirOwner {
    /// The directory's inode number.
    pub(crate) inode: InodeNumber,
    /// The parent's inode number; that of the root is the root.
    pub(crate) parent: InodeNumber,
}
