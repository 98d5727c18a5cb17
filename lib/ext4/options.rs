//! The properties of an image that callers choose.

use super::error::Error;
use super::number::{BLOCK_BYTES, exact};
use crate::meta::Timestamp;

/// The properties of an image that must be known before the first byte of content.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The exact size of the file system in bytes (rule E3); by default the smallest that holds the content.
    pub size: Option<u64>,
    /// The space to leave free if there is no `size`.
    pub free: Free,
    /// The volume label, at most 16 bytes.
    pub label: Vec<u8>,
    /// The number of inodes.
    pub inodes: Option<u32>,
    /// The number of bytes of image per inode, at least 1024.
    pub bytes_per_inode: Option<u64>,
    /// Whether to make a journal, and of which size.
    pub journal: Option<Journal>,
    /// The part of all blocks that only root may use; at most 50 %.
    pub reserved: Percent,
    /// Leave out features that old kernels and boot loaders do not know: `metadata_csum`.
    pub compat: bool,
    /// Store runs of zeros instead of making them holes.
    pub no_sparse: bool,
    /// The offset of the file system in the target, in bytes.
    pub offset: u64,
}

/// The size of the smallest journal (`JBD2_MIN_JOURNAL_BLOCKS`) and of the largest that `mke2fs` makes, in blocks.
const JOURNAL_BLOCKS: std::ops::RangeInclusive<u64> = 1024..=10_240_000;

impl Options {
    /// Refuses options that are out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Option(reason));
        if self.label.len() > 16 {
            return refuse(format!("label of {} bytes: ext4 allows 16", self.label.len()));
        }
        if self.reserved.hundredths > 50_00 {
            return refuse("more than 50 % reserved blocks".into());
        }
        let free = if let Free::Percent(part) = self.free { part.hundredths } else { 0 };
        if free > 0 && free.saturating_add(self.reserved.hundredths) > 90_00 {
            return refuse("more than 90 % free and reserved: inode tables need space too".into());
        }
        if self.bytes_per_inode.is_some_and(|bytes| bytes < 1024) {
            return refuse("less than 1024 bytes per inode".into());
        }
        if let Some(Journal::Bytes(bytes)) = self.journal {
            let unit = BLOCK_BYTES;
            if !JOURNAL_BLOCKS.contains(&(bytes / unit)) {
                let (least, most) = (JOURNAL_BLOCKS.start() * unit, JOURNAL_BLOCKS.end() * unit);
                return refuse(format!("journal of {bytes} bytes: {least} to {most} are possible"));
            }
        }
        Ok(())
    }
}

/// What distinguishes an image from others; since it may be derived from the content, it is given last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The UUID, which also seeds the checksums.
    pub uuid: [u8; 16],
    /// The seed of the hash that orders directories.
    pub hash_seed: [u8; 16],
    /// The time of creation, for the superblock and for inodes that are not in the tree.
    pub now: Timestamp,
    /// The time of the last write and check. `e2fsck` complains if it is in the future (E2); [`Timestamp::EPOCH`] means
    /// unknown.
    pub last_write: Timestamp,
}

/// How much space to leave free for writing, not counting the blocks that the kernel keeps for itself (E13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Free {
    /// 10 % of the image and at least 16 MiB.
    #[default]
    Default,
    /// At least this many bytes; with 0 there is only what rounding leaves.
    Bytes(u64),
    /// At least this part of the image; at most 90 %, including reserved blocks.
    Percent(Percent),
}

/// The size of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// The size that `mke2fs` chooses: 4 MiB to 1 GiB.
    Auto,
    /// This many bytes, at least 4 MiB.
    Bytes(u64),
}

/// A percentage with two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    hundredths: u32,
}

impl Percent {
    /// From hundredths of a percent: 250 is 2.5 %.
    #[must_use]
    pub const fn from_hundredths(hundredths: u32) -> Self {
        Self { hundredths }
    }

    /// In hundredths of a percent.
    #[must_use]
    pub const fn hundredths(self) -> u32 {
        self.hundredths
    }
    /// This part of a number of blocks.
    pub(crate) fn of(self, blocks: u64) -> u64 {
        exact(u128::from(blocks) * u128::from(self.hundredths) / 10_000)
    }
}
