//! The bytes of the superblock and its copies.
//!
//! Format: "Super Block" in the kernel's ext4 documentation. arcbox-ext4 lays out the fields; their values are set in
//! [`write::superblock`](crate::ext4::write::superblock).

use arcbox_ext4::constants::ro_compat;
use arcbox_ext4::types::SuperBlock;

use super::checksum::ChecksumSeed;
use crate::ext4::number::exact;

/// The size of a superblock in bytes.
pub(crate) const SUPERBLOCK_BYTES: usize = SuperBlock::SIZE;
/// The offset of the primary superblock in bytes.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;

/// The copy in `group`: it is not marked as clean, so that whoever falls back to it checks everything.
pub(crate) fn backup(primary: &SuperBlock, group: u64) -> SuperBlock {
    // The field has 16 bits; like mke2fs, write its maximum for higher groups.
    SuperBlock { state: 0, block_group_nr: exact(group.min(u16::MAX.into())), ..primary.clone() }
}

/// Encodes the superblock, with a checksum if it has the feature.
pub(crate) fn encode(superblock: &SuperBlock) -> [u8; SUPERBLOCK_BYTES] {
    let mut bytes = [0; SUPERBLOCK_BYTES];
    superblock.write_to(&mut bytes);
    if superblock.feature_ro_compat & ro_compat::METADATA_CSUM != 0 {
        let sum = ChecksumSeed::NONE.sum(&bytes[..SUPERBLOCK_BYTES - 4]);
        bytes[SUPERBLOCK_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}
