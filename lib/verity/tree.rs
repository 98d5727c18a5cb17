//! The tree from its lowest hashes up: one partial block a level.

use std::io;

use sha2::{Digest, Sha256};

use super::levels::Levels;
use super::{BLOCK, HASH, Hash};

/// What all blocks are hashed with: random, so that nobody can prepare blocks of equal hash.
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

/// A level's block that is not full yet.
struct PartialBlock {
    block: Box<[u8; BLOCK]>,
    filled: usize,
    /// Where it goes, in blocks of the tree.
    next: u64,
}

/// Takes the hashes of the data in order, and hands out the blocks of the tree: where they stand in the tree, the block,
/// and how many times it follows itself. Within a level they come in order.
pub(super) struct HashTree<F> {
    hasher: BlockHasher,
    levels: Levels,
    partial: Vec<PartialBlock>,
    sink: F,
    /// The last hash that came to the top: when all came, the root hash.
    root: Hash,
}

impl<F: FnMut(u64, &[u8; BLOCK], u64) -> io::Result<()>> HashTree<F> {
    pub(super) fn new(salt: &Salt, data_blocks: u64, sink: F) -> Self {
        let levels = Levels::new(data_blocks);
        let starts = (0..).map_while(|level| levels.level(level)).map(|(start, _)| start);
        let partial = starts.map(|next| PartialBlock { block: Box::new([0; BLOCK]), filled: 0, next }).collect();
        Self { hasher: BlockHasher::new(salt), levels, partial, sink, root: [0; HASH] }
    }

    /// The next `count` blocks of data have this hash.
    pub(super) fn push(&mut self, hash: &Hash, count: u64) -> io::Result<()> {
        self.push_to(0, hash, count)
    }

    /// All hashes came: the root hash.
    pub(super) fn finish(mut self) -> io::Result<Hash> {
        for level in 0..self.partial.len() {
            if self.partial[level].filled > 0 {
                self.full(level)?; // zeros follow
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
                // Equal hashes make equal blocks, which have equal hashes.
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

    /// The level's block gets no more hashes.
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
