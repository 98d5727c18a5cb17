//! The block that describes a tree, before it: cryptsetup's `struct verity_sb`.

use super::BLOCK;
use super::tree::Salt;

/// Bytes that are taken for it, a whole block.
pub const SUPERBLOCK_BYTES: usize = BLOCK;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Tells this tree from others.
    pub uuid: [u8; 16],
    /// Blocks of data.
    pub data_blocks: u64,
    /// What all blocks are hashed with.
    pub salt: Salt,
}

impl Superblock {
    /// As it stands on disk; integers are little-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; SUPERBLOCK_BYTES] {
        let mut bytes = [0; SUPERBLOCK_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, b"verity\0\0"); // signature
        put(8, &1_u32.to_le_bytes()); // version
        put(12, &1_u32.to_le_bytes()); // hash_type: salt before data
        put(16, &self.uuid);
        put(32, b"sha256"); // algorithm, 32 bytes
        put(64, &4096_u32.to_le_bytes()); // data_block_size
        put(68, &4096_u32.to_le_bytes()); // hash_block_size
        put(72, &self.data_blocks.to_le_bytes());
        put(80, &32_u16.to_le_bytes()); // salt_size
        put(88, &self.salt); // 256 bytes
        bytes
    }
}
