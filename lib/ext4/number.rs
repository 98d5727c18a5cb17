//! Block and inode numbers, what a block is, and the one way to put a number into a smaller type.

use std::fmt;

/// Bytes of a block, at every image size (rule E5).
pub const BLOCK_SIZE: u32 = 4096;
/// The same, to index with.
pub(crate) const BLOCK: usize = BLOCK_SIZE as usize;
/// The same, to calculate with.
pub(crate) const BLOCK_BYTES: u64 = BLOCK_SIZE as u64;

/// The number of a block of the file system, from 0. Without the feature `64bit` it has 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(u32);

impl BlockNumber {
    /// This block.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, where the format has room for it.
    pub(crate) fn at(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Self)
    }

    /// As it stands on disk.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The byte of the file system where the block starts.
    pub(crate) fn byte(self) -> u64 {
        u64::from(self.0) * BLOCK_BYTES
    }

    /// The block so many blocks behind this one, within the same extent.
    pub(crate) fn behind(self, blocks: u32) -> Self {
        Self(self.0 + blocks)
    }
}

impl From<BlockNumber> for u64 {
    fn from(block: BlockNumber) -> Self {
        block.0.into()
    }
}

/// The number of an inode, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InodeNumber(u32);

impl InodeNumber {
    /// `EXT4_ROOT_INO`
    pub(crate) const ROOT: Self = Self(2);
    /// `EXT4_RESIZE_INO`
    pub(crate) const RESIZE: Self = Self(7);
    /// `EXT4_JOURNAL_INO`
    pub(crate) const JOURNAL: Self = Self(8);
    /// `lost+found`: `EXT4_GOOD_OLD_FIRST_INO`, the first one that is not reserved.
    pub(crate) const LOST_FOUND: Self = Self(11);

    /// This inode.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// As it stands on disk.
    #[must_use]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// How many inodes stand before it, over all groups.
    pub(crate) fn index(self) -> u64 {
        u64::from(self.0) - 1
    }
}

/// `value` as an integer of another type, which holds it: its bound was checked where it came from.
///
/// # Panics
/// When it does not fit after all. A wrong number in an image would be worse.
#[track_caller]
pub(crate) fn exact<T: TryFrom<U, Error: fmt::Debug>, U>(value: U) -> T {
    T::try_from(value).expect("a number was not bounded where it came from")
}
