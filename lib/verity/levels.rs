//! The arithmetic of the levels of a tree: how many blocks each has, and where they are.

use super::{BLOCK, BLOCK_BYTES, HASH};

/// The number of hashes in a block.
const FANOUT: u64 = (BLOCK / HASH) as u64;

/// The levels of a tree over a number of data blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// First block and number of blocks of each level, lowest level first; blocks are counted from the start of the tree.
    levels: Vec<(u64, u64)>,
    data_blocks: u64,
}

impl Levels {
    /// The levels of a tree over `data_blocks` blocks.
    #[must_use]
    pub fn new(data_blocks: u64) -> Self {
        let mut counts = Vec::new();
        let mut below = data_blocks;
        while below > 1 {
            below = below.div_ceil(FANOUT);
            counts.push(below);
        }
        // The highest level comes first.
        let mut levels = Vec::with_capacity(counts.len());
        let mut before: u64 = counts.iter().sum();
        for count in counts {
            before -= count;
            levels.push((before, count));
        }
        Self { levels, data_blocks }
    }

    /// The number of data blocks.
    #[must_use]
    pub fn data_blocks(&self) -> u64 {
        self.data_blocks
    }

    /// The number of blocks in all levels.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.levels.iter().map(|(_, count)| count).sum()
    }

    /// The size of superblock and levels in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (1 + self.blocks()) * BLOCK_BYTES
    }

    /// First block and number of blocks of a level; level 0 holds the hashes of the data.
    pub(super) fn level(&self, level: usize) -> Option<(u64, u64)> {
        self.levels.get(level).copied()
    }

    /// The highest number of data blocks such that data, superblock and tree fit into `blocks` blocks.
    #[must_use]
    pub fn most_data(blocks: u64) -> u64 {
        let fits = |data: u64| data.checked_add(1 + Self::new(data).blocks()).is_some_and(|all| all <= blocks);
        let (mut least, mut most) = (0, blocks);
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if fits(middle) { least = middle } else { most = middle - 1 }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_level_stands_first() {
        assert_eq!(Levels::new(1).levels, []);
        assert_eq!(Levels::new(2).levels, [(0, 1)]);
        assert_eq!(Levels::new(128).levels, [(0, 1)]);
        assert_eq!(Levels::new(129).levels, [(1, 2), (0, 1)]);
        assert_eq!(Levels::new(128 * 128 + 1).levels, [(3, 129), (1, 2), (0, 1)]);
        // 1 TiB
        assert_eq!(Levels::new(1 << 28).blocks(), (1 << 21) + (1 << 14) + (1 << 7) + 1);
    }

    #[test]
    fn the_most_data_that_fits_is_found() {
        for blocks in (2..2000).chain([1 << 20, (1 << 32) + 77]) {
            let most = Levels::most_data(blocks);
            let all = |data: u64| data + 1 + Levels::new(data).blocks();
            assert!(all(most) <= blocks && all(most + 1) > blocks, "{blocks}");
        }
        assert_eq!(Levels::most_data(0), 0);
    }
}
