//! How many blocks a directory takes (E6): one that fits into a block is linear, in the given order; a larger one has
//! an index ([`dir_index`](super::dir_index)).

use super::dir_index::DirIndex;
use crate::ext4::format::dir_block::DirBlockBuilder;
use crate::ext4::format::dir_entry::{DirEntry, check_name, record_length};
use crate::ext4::format::directory::DirFormat;

/// Why a directory cannot be stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirError {
    /// No directory can hold a name.
    #[error("name of {length} bytes: {reason}")]
    Name {
        /// The position of the entry in the list.
        index: usize,
        /// Its length in bytes.
        length: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are more entries than an index of two levels can hold; a third would be the feature `large_dir`, which
    /// this writer does not use.
    #[error("directory of {entries} entries needs {leaves} blocks, its index reaches at most {limit}")]
    TooLarge {
        /// The number of names in the directory.
        entries: usize,
        /// How many blocks they fill.
        leaves: usize,
        /// How many blocks an index of two levels can address.
        limit: usize,
    },
}

/// How a directory is divided into blocks.
#[derive(Debug)]
pub(crate) struct DirectoryPlan {
    /// The number of blocks: `i_size` is 4096 times this.
    pub(crate) blocks: u32,
    /// The index, which the inode declares by `EXT4_INDEX_FL`. `None` for a linear directory.
    pub(crate) index: Option<DirIndex>,
}

impl DirectoryPlan {
    /// Lays out `entries`, whose names are distinct. A linear directory takes at least `min_blocks` blocks:
    /// `lost+found` has space in advance, because e2fsck fills it when nothing else can be trusted.
    ///
    /// Time is n log n; memory beyond the entries is 4 bytes each, 16 while sorting.
    ///
    /// # Errors
    /// When a name cannot be stored, or there are more entries than the index can hold.
    pub(crate) fn new(entries: &[DirEntry<'_>], format: &DirFormat, min_blocks: u32) -> Result<Self, DirError> {
        let mut bytes = record_length(1) + record_length(2);
        for (index, entry) in entries.iter().enumerate() {
            let length = entry.name.len();
            check_name(entry.name).map_err(|reason| DirError::Name { index, length, reason })?;
            bytes = bytes.saturating_add(record_length(length));
        }
        if bytes <= DirBlockBuilder::capacity(format) {
            return Ok(Self { blocks: min_blocks.max(1), index: None });
        }
        let index = DirIndex::new(entries, format).map_err(|too_many| DirError::TooLarge {
            entries: entries.len(),
            leaves: too_many.leaves,
            limit: too_many.limit,
        })?;
        Ok(Self { blocks: index.blocks(), index: Some(index) })
    }
}

#[cfg(test)]
mod tests;
