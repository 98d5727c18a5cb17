//! The superblock's bytes, and those of its copies.
//!
//! Format: "Super Block" in the kernel's ext4 documentation. arcbox-ext4 lays out the fields; what goes into them is
//! decided in [`write::superblock`](crate::ext4::write::superblock).

use arcbox_ext4::constants::ro_compat;
use arcbox_ext4::types::SuperBlock;

use super::checksum::ChecksumSeed;
use crate::ext4::number::exact;

/// Bytes of a superblock.
pub(crate) const SUPERBLOCK_BYTES: usize = SuperBlock::SIZE;
/// Where the primary one starts, in bytes.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;

/// The copy that stands in `group`: it is not marked as clean, so that whoever falls back to it checks everything.
pub(crate) fn backup(primary: &SuperBlock, group: u64) -> SuperBlock {
    // The field has 16 bits; mke2fs too writes its largest number for the groups beyond.
    SuperBlock { state: 0, block_group_nr: exact(group.min(u16::MAX.into())), ..primary.clone() }
}

/// The superblock's bytes, with checksum where there are checksums.
pub(crate) fn encode(superblock: &SuperBlock) -> [u8; SUPERBLOCK_BYTES] {
    let mut bytes = [0; SUPERBLOCK_BYTES];
    superblock.write_to(&mut bytes);
    if superblock.feature_ro_compat & ro_compat::METADATA_CSUM != 0 {
        let sum = ChecksumSeed::NONE.sum(&bytes[..SUPERBLOCK_BYTES - 4]);
        bytes[SUPERBLOCK_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}
