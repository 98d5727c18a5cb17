//! Builds the tree from the lowest hashes up, with one partial block per level.

use std::io;

use sha2::{Digest, Sha256};

use super::levels::Levels;
use super::{BLOCK, HASH, Hash};

/// The salt of all hashes: random, so that nobody can prepare blocks with equal hashes.
pub type Salt = [u8; 32];

/// Hashes blocks.
#[derive(Clone)]
pub(super) struct BlockHasher(Sha256);

impl BlockHasher {
    pub(super) fn new(salt: &Salt) -> Self {
        Self(Sha256::new_with_prefix(salt))
    }

    pub(super) fn hash(&self, block: &[u8]) -> Hash {
        self.0.clone().chain_update(block).finalize().into()
    }
}

/// The block of a level that is not full yet.
struct PartialBlock {
    block: Box<[u8; BLOCK]>,
    filled: usize,
    /// Its number, counted from the start of the tree.
    next: u64,
}

/// Takes the hashes of the data in order and passes the blocks of the tree to `sink`: number, bytes, and how many times the
/// block is repeated. Within a level they come in order.
pub(super) struct HashTree<F> {
    hasher: BlockHasher,
    levels: Levels,
    partial: Vec<PartialBlock>,
    sink: F,
    /// The last hash that reached the top: the root hash, once all data is in.
    root: Hash,
}

impl<F: FnMut(u64, &[u8; BLOCK], u64) -> io::Result<()>> HashTree<F> {
    pub(super) fn new(salt: &Salt, data_blocks: u64, sink: F) -> Self {
        let levels = Levels::new(data_blocks);
        let starts = (0..).map_while(|level| levels.level(level)).map(|(start, _)| start);
        let partial = starts.map(|next| PartialBlock { block: Box::new([0; BLOCK]), filled: 0, next }).collect();
        Self { hasher: BlockHasher::new(salt), levels, partial, sink, root: [0; HASH] }
    }

    /// Adds the hash of the next `count` data blocks.
    pub(super) fn push(&mut self, hash: &Hash, count: u64) -> io::Result<()> {
        self.push_to(0, hash, count)
    }

    /// Returns the root hash once all hashes have been added.
    pub(super) fn finish(mut self) -> io::Result<Hash> {
        for level in 0..self.partial.len() {
            if self.partial[level].filled > 0 {
                self.full(level)?; // the rest of the block is zeros
            }
        }
        Ok(self.root)
    }

    fn push_to(&mut self, level: usize, hash: &Hash, count: u64) -> io::Result<()> {
        if level == self.partial.len() {
            self.root = *hash;
            return Ok(());
        }
        let mut left = count;
        while left > 0 {
            let partial = &mut self.partial[level];
            let whole = left / (BLOCK / HASH) as u64;
            if partial.filled == 0 && whole > 0 {
                // Equal hashes make equal blocks, which in turn have equal hashes.
                for place in partial.block.chunks_exact_mut(HASH) {
                    place.copy_from_slice(hash);
                }
                let above = self.hasher.hash(&partial.block[..]);
                (self.sink)(partial.next, &partial.block, whole)?;
                partial.next += whole;
                partial.block.fill(0);
                self.push_to(level + 1, &above, whole)?;
                left -= whole * (BLOCK / HASH) as u64;
                continue;
            }
            partial.block[partial.filled..partial.filled + HASH].copy_from_slice(hash);
            partial.filled += HASH;
            left -= 1;
            if partial.filled == BLOCK {
                self.full(level)?;
            }
        }
        Ok(())
    }

    /// Completes the current block of a level.
    fn full(&mut self, level: usize) -> io::Result<()> {
        let partial = &mut self.partial[level];
        let above = self.hasher.hash(&partial.block[..]);
        (self.sink)(partial.next, &partial.block, 1)?;
        partial.next += 1;
        partial.filled = 0;
        partial.block.fill(0);
        debug_assert!(self.levels.level(level).is_some_and(|(start, count)| partial.next <= start + count));
        self.push_to(level + 1, &above, 1)
    }
}
