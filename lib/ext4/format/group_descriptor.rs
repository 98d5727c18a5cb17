//! Block group descriptors: 32 bytes, without the feature `64bit`.
//!
//! Format: "Block Group Descriptors" in the kernel's ext4 documentation. arcbox-ext4 lays out the fields.

use arcbox_ext4::types::GroupDescriptor;

use super::checksum::{ChecksumSeed, low16};

/// The size of a descriptor in bytes.
pub(crate) const DESCRIPTOR_BYTES: usize = GroupDescriptor::SIZE;

/// Encodes a descriptor, with a checksum if there is a `seed`.
pub(crate) fn encode(descriptor: &GroupDescriptor, group: u32, seed: Option<ChecksumSeed>) -> [u8; DESCRIPTOR_BYTES] {
    let mut bytes = [0; DESCRIPTOR_BYTES];
    descriptor.write_to(&mut bytes);
    if let Some(seed) = seed {
        // `bg_checksum`, the last field, counts as zero, which it still is.
        let sum = low16(seed.then(&group.to_le_bytes()).sum(&bytes));
        bytes[DESCRIPTOR_BYTES - 2..].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}
