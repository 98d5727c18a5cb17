//! The checksums of `metadata_csum`: CRC32C without the initial and final inversion.
//!
//! Format: "Checksums" in the kernel's ext4 documentation. What a checksum covers is documented with its structure; all but
//! the superblock's begin with a seed, so that a block of another file system or inode is recognised.

use crate::ext4::number::InodeNumber;

/// The starting value of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChecksumSeed(u32);

impl ChecksumSeed {
    /// No seed, as for the checksum of the superblock.
    pub(crate) const NONE: Self = Self(!0);

    /// The seed for the structures of a file system: the checksum of its UUID.
    pub(crate) fn of_file_system(uuid: &[u8; 16]) -> Self {
        Self::NONE.then(uuid)
    }

    /// The seed for whatever belongs to an inode: directory blocks, extent blocks, the inode itself. Generations are
    /// always 0.
    pub(crate) fn of_inode(self, inode: InodeNumber) -> Self {
        self.then(&inode.get().to_le_bytes()).then(&[0; 4])
    }

    /// The seed after `bytes`.
    pub(crate) fn then(self, bytes: &[u8]) -> Self {
        Self(self.sum(bytes))
    }

    /// The checksum of `bytes`.
    pub(crate) fn sum(self, bytes: &[u8]) -> u32 {
        !crc32c::crc32c_append(!self.0, bytes)
    }
}

/// The half of a checksum that fits into structures with 16 bits for it.
pub(crate) fn low16(sum: u32) -> u16 {
    let [a, b, ..] = sum.to_le_bytes();
    u16::from_le_bytes([a, b])
}
