//! A limit on the names that hard links lead to (S5).
//!
//! Links of a few bytes may lead, through symlinks, to a file with a path of 64 KiB, which is then written for each.

use super::Error;

/// How many bytes these names may take, and how many more for each entry.
const BYTES: u64 = 64 << 20;
const BYTES_BY_ENTRY: u64 = 8 << 10;

/// What is left of the allowance.
#[derive(Debug)]
pub(super) struct LinkedNames {
    left: u64,
}

impl LinkedNames {
    pub(super) fn new() -> Self {
        Self { left: BYTES }
    }

    /// Adds the share of an entry.
    pub(super) fn entry(&mut self) {
        self.left = self.left.saturating_add(BYTES_BY_ENTRY);
    }

    /// The hard link `name` leads to `target`.
    pub(super) fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        let left = self.left.checked_sub(target.len() as u64);
        self.left = left.ok_or_else(|| Error::LongLinks { name: name.to_vec() })?;
        Ok(())
    }
}
