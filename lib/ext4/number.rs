//! Block and inode numbers, the size of a block, and the conversion of numbers to smaller types.

use std::fmt;

/// The size of a block in bytes, whatever the size of the image (rule E5).
pub const BLOCK_SIZE: u32 = 4096;
/// The same, for indexing.
pub(crate) const BLOCK: usize = BLOCK_SIZE as usize;
/// The same, for calculations.
pub(crate) const BLOCK_BYTES: u64 = BLOCK_SIZE as u64;

/// The number of a block of the file system, counted from 0. Without the feature `64bit` it has 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(u32);

impl BlockNumber {
    /// The block with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The block with this number, if it is in range.
    pub(crate) fn at(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Self)
    }

    /// The number, as stored on disk.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The offset of the block in the file system, in bytes.
    pub(crate) fn byte(self) -> u64 {
        u64::from(self.0) * BLOCK_BYTES
    }

    /// The block that comes `blocks` after this one, within the same extent.
    pub(crate) fn behind(self, blocks: u32) -> Self {
        Self(self.0 + blocks)
    }
}

impl From<BlockNumber> for u64 {
    fn from(block: BlockNumber) -> Self {
        block.0.into()
    }
}

/// The number of an inode, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InodeNumber(u32);

impl InodeNumber {
    /// `EXT4_ROOT_INO`
    pub(crate) const ROOT: Self = Self(2);
    /// `EXT4_RESIZE_INO`
    pub(crate) const RESIZE: Self = Self(7);
    /// `EXT4_JOURNAL_INO`
    pub(crate) const JOURNAL: Self = Self(8);
    /// `lost+found`: `EXT4_GOOD_OLD_FIRST_INO`, the first that is not reserved.
    pub(crate) const LOST_FOUND: Self = Self(11);

    /// The inode with this number.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, as stored on disk.
    #[must_use]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// Its index over all groups, counted from 0.
    pub(crate) fn index(self) -> u64 {
        u64::from(self.0) - 1
    }
}

/// Converts an integer to another type, in which it fits because its range was checked at its source.
///
/// # Panics
/// When it does not fit after all: a wrong number in an image would be worse.
#[track_caller]
pub(crate) fn exact<T: TryFrom<U, Error: fmt::Debug>, U>(value: U) -> T {
    T::try_from(value).expect("a number was not bounded where it came from")
}
