//! One block of directory entries (`ext4_dir_entry_2`), and the checksums of directory blocks.

use crate::ext4::layout::directory::{DirFormat, DirOwner, FileType};

/// Bytes in a block.
pub(crate) const BLOCK: usize = 4096;
/// `ext4_dir_entry_tail`: an entry without inode that holds the block's checksum.
const TAIL: usize = 12;
/// The `file_type` that marks the tail.
const TAIL_TYPE: u8 = 0xde;
/// `inode`, `rec_len`, `name_len` and `file_type`.
const HEADER: usize = 8;

/// Bytes that an entry takes: the header and the name, rounded up to 4.
pub(crate) fn record_length(name: usize) -> usize {
    (name.saturating_add(HEADER + 3)) & !3
}

/// Puts an entry's header and name at `at`.
pub(crate) fn put_entry(block: &mut [u8], at: usize, length: usize, name: &[u8], inode: u32, file_type: u8) {
    block[at..at + 4].copy_from_slice(&inode.to_le_bytes());
    // Lengths are at most a block, names at most 255: DirectoryPlan::new checked them.
    block[at + 4..at + 6].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    block[at + 6] = u8::try_from(name.len()).unwrap_or(u8::MAX);
    block[at + 7] = file_type;
    block[at + HEADER..at + HEADER + name.len()].copy_from_slice(name);
}

/// The raw CRC32C (no inversion at either end) that ext4 uses, continued from `crc`.
pub(crate) fn crc(crc: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!crc, bytes)
}

/// The seed of an inode's own checksums; generations are 0 here.
pub(crate) fn inode_seed(checksum_seed: u32, inode: u32) -> u32 {
    crc(crc(checksum_seed, &inode.to_le_bytes()), &[0; 4])
}

/// Fills one block with entries, in order.
#[derive(Debug)]
pub(crate) struct LeafBuilder {
    block: [u8; BLOCK],
    /// Where the next entry starts.
    end: usize,
    /// Where the last one starts.
    last: Option<usize>,
    /// Where entries must end.
    capacity: usize,
    seed: Option<u32>,
}

impl LeafBuilder {
    /// Bytes for entries in a block.
    pub(crate) fn capacity(format: &DirFormat) -> usize {
        if format.checksum_seed.is_some() { BLOCK - TAIL } else { BLOCK }
    }

    pub(crate) fn new(format: &DirFormat, owner: DirOwner) -> Self {
        Self {
            block: [0; BLOCK],
            end: 0,
            last: None,
            capacity: Self::capacity(format),
            seed: format.checksum_seed.map(|seed| inode_seed(seed, owner.inode)),
        }
    }

    /// Adds an entry; the caller saw to it that it fits.
    pub(crate) fn push(&mut self, name: &[u8], inode: u32, file_type: FileType) {
        let length = record_length(name.len());
        put_entry(&mut self.block, self.end, length, name, inode, file_type as u8);
        self.last = Some(self.end);
        self.end += length;
    }

    /// Completes the block into `out` and starts the next: the last entry (or an empty one) reaches to the end.
    pub(crate) fn finish(&mut self, out: &mut [u8]) {
        let start = self.last.unwrap_or(0);
        let length = u16::try_from(self.capacity - start).unwrap_or(u16::MAX);
        self.block[start + 4..start + 6].copy_from_slice(&length.to_le_bytes());
        if let Some(seed) = self.seed {
            put_entry(&mut self.block, self.capacity, TAIL, b"", 0, TAIL_TYPE);
            let sum = crc(seed, &self.block[..self.capacity]);
            self.block[BLOCK - 4..].copy_from_slice(&sum.to_le_bytes());
        }
        out.copy_from_slice(&self.block);
        self.block.fill(0);
        self.end = 0;
        self.last = None;
    }
}
