//! Runs of a file's blocks, and the leaves of the extent tree that map them: `ext4_extent`.

use arcbox_ext4::constants::MAX_BLOCKS_PER_EXTENT;
use arcbox_ext4::types::ExtentLeaf;

use crate::ext4::number::{BlockNumber, exact};

/// A run of a file's blocks that are contiguous in the image, of any length, in blocks of 4096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first block in the file.
    pub logical: u32,
    /// The first block in the image.
    pub start: BlockNumber,
    /// The number of blocks, at least 1.
    pub len: u32,
}

impl Extent {
    /// The number of leaves it takes: a leaf maps at most 32,768 blocks.
    pub(crate) fn leaf_count(&self) -> u32 {
        self.len.div_ceil(MAX_BLOCKS_PER_EXTENT)
    }

    /// Its leaves.
    pub(crate) fn leaves(self) -> impl Iterator<Item = ExtentLeaf> {
        (0..self.len).step_by(MAX_BLOCKS_PER_EXTENT as usize).map(move |done| ExtentLeaf {
            block: self.logical + done,
            len: exact((self.len - done).min(MAX_BLOCKS_PER_EXTENT)),
            start_hi: 0,
            start_lo: self.start.behind(done).get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_cut_into_leaves_of_32768_blocks() {
        let run = Extent { logical: 7, start: BlockNumber::new(100), len: 70_000 };
        let leaves: Vec<_> = run.leaves().map(|leaf| (leaf.block, leaf.start_lo, leaf.len)).collect();
        assert_eq!(leaves, [(7, 100, 32_768), (32_775, 32_868, 32_768), (65_543, 65_636, 4464)]);
        assert_eq!(run.leaf_count(), 3);
    }
}
