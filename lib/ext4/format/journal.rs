//! The journal's superblock. Format: "Journal (jbd2)" in the kernel's ext4 documentation; big-endian.

use crate::ext4::number::{BLOCK, BLOCK_SIZE};

/// `JBD2_MAGIC_NUMBER`
const MAGIC: u32 = 0xc03b_3998;
/// `JBD2_SUPERBLOCK_V2`
const SUPERBLOCK_V2: u32 = 4;

/// The first block of an empty journal of `blocks` blocks; all others are zero. The kernel adds features (and
/// checksums) when it mounts the file system.
pub(crate) fn superblock(blocks: u32, uuid: [u8; 16]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, value: u32| block[at..at + 4].copy_from_slice(&value.to_be_bytes());
    put(0x00, MAGIC);
    put(0x04, SUPERBLOCK_V2);
    put(0x0c, BLOCK_SIZE); // s_blocksize
    put(0x10, blocks); // s_maxlen
    put(0x14, 1); // s_first
    put(0x18, 1); // s_sequence
    put(0x40, 1); // s_nr_users
    block[0x30..0x40].copy_from_slice(&uuid);
    block
}
