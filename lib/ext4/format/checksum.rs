//! The checksums of `metadata_csum`: CRC32C, without the inversions at either end.
//!
//! Format: "Checksums" in the kernel's ext4 documentation. What a structure's checksum covers stands with the structure;
//! all but the superblock's begin with a seed, so that a block of another file system or inode is recognised.

use crate::ext4::number::InodeNumber;

/// What a checksum starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChecksumSeed(u32);

impl ChecksumSeed {
    /// The superblock's own checksum has no seed.
    pub(crate) const NONE: Self = Self(!0);

    /// The seed of a file system's structures: the checksum of its UUID.
    pub(crate) fn of_file_system(uuid: &[u8; 16]) -> Self {
        Self::NONE.then(uuid)
    }

    /// The seed of what belongs to one inode: directory blocks, extent blocks, the inode. Generations are 0 here.
    pub(crate) fn of_inode(self, inode: InodeNumber) -> Self {
        self.then(&inode.get().to_le_bytes()).then(&[0; 4])
    }

    /// Goes on behind `bytes`.
    pub(crate) fn then(self, bytes: &[u8]) -> Self {
        Self(self.sum(bytes))
    }

    /// The checksum of `bytes`.
    pub(crate) fn sum(self, bytes: &[u8]) -> u32 {
        !crc32c::crc32c_append(!self.0, bytes)
    }
}

/// The half of a checksum that structures with room for 16 bits keep.
pub(crate) fn low16(sum: u32) -> u16 {
    let [a, b, ..] = sum.to_le_bytes();
    u16::from_le_bytes([a, b])
}
