//! A block group's descriptor: 32 bytes, without the feature `64bit`.
//!
//! Format: "Block Group Descriptors" in the kernel's ext4 documentation. arcbox-ext4 lays out the fields.

use arcbox_ext4::types::GroupDescriptor;

use super::checksum::{ChecksumSeed, low16};

/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_BYTES: usize = GroupDescriptor::SIZE;

/// The descriptor's bytes, with checksum where `seed` says so.
pub(crate) fn encode(descriptor: &GroupDescriptor, group: u32, seed: Option<ChecksumSeed>) -> [u8; DESCRIPTOR_BYTES] {
    let mut bytes = [0; DESCRIPTOR_BYTES];
    descriptor.write_to(&mut bytes);
    if let Some(seed) = seed {
        // `bg_checksum`, the last field, counts as zero, and is so far.
        let sum = low16(seed.then(&group.to_le_bytes()).sum(&bytes));
        bytes[DESCRIPTOR_BYTES - 2..].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}
