//! Blocks of extended attributes, shared between inodes with equal blocks.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::checksum::ChecksumSeed;
use super::xattr_entry::{DiskXattr, MAGIC, padded};
use crate::ext4::number::{BLOCK, BlockNumber, exact};

/// `ext4_xattr_header`
const HEADER: usize = 32;
/// `h_checksum`
const CHECKSUM: std::ops::Range<usize> = 16..20;
/// `EXT4_XATTR_REFCOUNT_MAX`
const MAX_SHARED: u32 = 1024;

/// A block without its header: entries at the front and values at the end, without the zeros between them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockImage {
    entries: Box<[u8]>,
    values: Box<[u8]>,
    /// `h_hash`
    hash: u32,
}

impl BlockImage {
    /// The space for entries and values: without the header and the four zeros that end the entries.
    pub(crate) const ROOM: usize = BLOCK - HEADER - 4;

    /// Lays out attributes that are sorted and fit.
    pub(crate) fn new(list: &[DiskXattr]) -> Self {
        let mut entries = Vec::new();
        let mut values = vec![0; list.iter().map(|xattr| padded(xattr.value.len())).sum()];
        let mut at = values.len();
        let mut block_hash = 0_u32;
        let mut shareable = true;
        for xattr in list {
            at -= padded(xattr.value.len());
            values[at..at + xattr.value.len()].copy_from_slice(&xattr.value);
            let hash = entry_hash(&xattr.name, &values[at..at + padded(xattr.value.len())]);
            xattr.put_entry(&mut entries, BLOCK - values.len() + at, hash);
            block_hash = block_hash.rotate_left(16) ^ hash;
            shareable &= hash != 0;
        }
        // The kernel does not share a block that has an entry with hash 0, and marks it by a block hash of 0.
        let hash = if shareable { block_hash } else { 0 };
        Self { entries: entries.into(), values: values.into(), hash }
    }
}

/// `e_hash` as computed by kernels since 6.2: name bytes are unsigned on every machine.
fn entry_hash(name: &[u8], padded_value: &[u8]) -> u32 {
    let name = name.iter().fold(0_u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
    let words = padded_value.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    words.fold(name, |hash, word| hash.rotate_left(16) ^ word)
}

/// The attribute blocks of a file system, and how many inodes share each. Their content is in the tree; here it is
/// represented by a hash with a random key.
#[derive(Debug, Default)]
pub(crate) struct XattrBlocks {
    /// The number of inodes that share each block.
    users: Vec<u32>,
    /// The block that the next inode with this content shares.
    open: HashMap<(u64, u64), usize>,
    keys: (RandomState, RandomState),
}

impl XattrBlocks {
    /// An empty collection.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The number of blocks.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.users.len()
    }

    /// Adds an inode with this content; returns the number of its block, counted from 0. A new block gets the next number.
    pub(crate) fn add(&mut self, image: &BlockImage) -> u32 {
        let digest = (self.keys.0.hash_one(image), self.keys.1.hash_one(image));
        let open = self.open.get(&digest).copied().filter(|at| self.users[*at] < MAX_SHARED);
        if let Some(at) = open {
            self.users[at] += 1;
            return exact(at);
        }
        let at = self.users.len();
        self.users.push(1);
        if image.hash != 0 {
            self.open.insert(digest, at);
        }
        exact(at)
    }

    /// Encodes block `index` with content `image`, to go to `block` of the file system. `seed` is `None` without
    /// `metadata_csum`.
    ///
    /// # Panics
    /// When there is no such block.
    pub(crate) fn write(
        &self,
        index: usize,
        image: &BlockImage,
        block: BlockNumber,
        seed: Option<ChecksumSeed>,
        out: &mut [u8; BLOCK],
    ) {
        let users = self.users[index];
        out.fill(0);
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&users.to_le_bytes());
        out[8..12].copy_from_slice(&1_u32.to_le_bytes()); // h_blocks
        out[12..16].copy_from_slice(&image.hash.to_le_bytes());
        out[HEADER..HEADER + image.entries.len()].copy_from_slice(&image.entries);
        out[BLOCK - image.values.len()..].copy_from_slice(&image.values);
        if let Some(seed) = seed {
            let sum = seed.then(&u64::from(block).to_le_bytes()).sum(&out[..]);
            out[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        }
    }
}
