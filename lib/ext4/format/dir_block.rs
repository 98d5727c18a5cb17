//! A block of directory entries, of a linear directory or a leaf of the index, with its checksum.
//!
//! Format: "Linear (Classic) Directories" in the kernel's ext4 documentation.

use super::checksum::ChecksumSeed;
use super::dir_entry::{put_entry, put_length, record_length};
use super::directory::{DirFormat, DirOwner};
use crate::ext4::number::{BLOCK, InodeNumber};

/// `ext4_dir_entry_tail`: an entry without an inode that holds the checksum of the block.
const TAIL: usize = 12;
/// The `file_type` that marks the tail.
const TAIL_TYPE: u8 = 0xde;

/// Fills a block with entries, in order.
#[derive(Debug)]
pub(crate) struct DirBlockBuilder {
    block: [u8; BLOCK],
    /// Where the next entry starts.
    end: usize,
    /// Where the last one starts.
    last: Option<usize>,
    /// Where entries must end.
    capacity: usize,
    seed: Option<ChecksumSeed>,
}

impl DirBlockBuilder {
    /// The number of bytes for entries in a block.
    pub(crate) fn capacity(format: &DirFormat) -> usize {
        if format.checksum_seed.is_some() { BLOCK - TAIL } else { BLOCK }
    }

    pub(crate) fn new(format: &DirFormat, owner: DirOwner) -> Self {
        let capacity = Self::capacity(format);
        Self { block: [0; BLOCK], end: 0, last: None, capacity, seed: format.seed_of(owner) }
    }

    /// Adds an entry; the caller makes sure that it fits.
    pub(crate) fn push(&mut self, name: &[u8], inode: InodeNumber, file_type: u8) {
        let length = record_length(name.len());
        put_entry(&mut self.block, self.end, length, name, Some(inode), file_type);
        self.last = Some(self.end);
        self.end += length;
    }

    /// Completes the block into `out` and starts the next: the last entry (or an empty one) extends to the end.
    pub(crate) fn finish(&mut self, out: &mut [u8]) {
        let start = self.last.unwrap_or(0);
        put_length(&mut self.block, start, self.capacity - start);
        if let Some(seed) = self.seed {
            put_entry(&mut self.block, self.capacity, TAIL, b"", None, TAIL_TYPE);
            let sum = seed.sum(&self.block[..self.capacity]);
            self.block[BLOCK - 4..].copy_from_slice(&sum.to_le_bytes());
        }
        out.copy_from_slice(&self.block);
        self.block.fill(0);
        self.end = 0;
        self.last = None;
    }
}
