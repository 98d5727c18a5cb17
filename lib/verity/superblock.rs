//! The block before a tree that describes it: cryptsetup's `struct verity_sb`.

use super::BLOCK;
use super::tree::Salt;

/// Its size in bytes: a whole block.
pub const SUPERBLOCK_BYTES: usize = BLOCK;

/// Its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Identifies this tree.
    pub uuid: [u8; 16],
    /// The number of data blocks.
    pub data_blocks: u64,
    /// The salt of all hashes.
    pub salt: Salt,
}

impl Superblock {
    /// Its on-disk form; integers are little-endian.
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
