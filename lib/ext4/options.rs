//! What is asked of an image.

use super::error::Error;
use super::number::{BLOCK_BYTES, exact};
use crate::meta::Timestamp;

/// What the image is to be, known before the first byte of content.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Size of the file system in bytes, met exactly (rule E3); without it the smallest that holds the content.
    pub size: Option<u64>,
    /// Space left free when there is no `size`.
    pub free: Free,
    /// Volume label, at most 16 bytes.
    pub label: Vec<u8>,
    /// Number of inodes.
    pub inodes: Option<u32>,
    /// One inode for so many bytes of image; at least 1024.
    pub bytes_per_inode: Option<u64>,
    /// A journal, and its size.
    pub journal: Option<Journal>,
    /// Blocks that only root may use, of all blocks; at most 50 %.
    pub reserved: Percent,
    /// Leave out what old kernels and boot loaders do not know: `metadata_csum`.
    pub compat: bool,
    /// Store runs of zeros instead of making them holes.
    pub no_sparse: bool,
    /// Where the file system starts in the target, in bytes.
    pub offset: u64,
}

/// Blocks of the smallest journal (`JBD2_MIN_JOURNAL_BLOCKS`) and of the largest that `mke2fs` makes.
const JOURNAL_BLOCKS: std::ops::RangeInclusive<u64> = 1024..=10_240_000;

impl Options {
    /// Refuses what is out of range.
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

/// What makes an image itself and not another one; may be derived from the content, so it is given last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Seeds the checksums too.
    pub uuid: [u8; 16],
    /// Seeds the hash by which directories are sorted.
    pub hash_seed: [u8; 16],
    /// The time of creation, for the superblock and for the inodes that are not in the tree.
    pub now: Timestamp,
    /// The time of the last write and check, which `e2fsck` compares with its clock: no later than the time that it is,
    /// or it complains (E2). [`Timestamp::EPOCH`] says nothing.
    pub last_write: Timestamp,
}

/// How much space to leave free: what can be written, the blocks that the kernel keeps for itself not counted (E13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Free {
    /// 10 % of the image and at least 16 MiB.
    #[default]
    Default,
    /// At least so many bytes; 0 leaves no more than rounding does.
    Bytes(u64),
    /// At least this part of the image; at most 90 %, what is reserved included.
    Percent(Percent),
}

/// How large the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// As `mke2fs` sizes it: 4 MiB to 1 GiB.
    Auto,
    /// So many bytes, at least 4 MiB.
    Bytes(u64),
}

/// A part of a hundred, to two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    hundredths: u32,
}

impl Percent {
    /// So many hundredths of a percent: 250 is 2.5 %.
    #[must_use]
    pub const fn from_hundredths(hundredths: u32) -> Self {
        Self { hundredths }
    }

    /// So many hundredths of a percent.
    #[must_use]
    pub const fn hundredths(self) -> u32 {
        self.hundredths
    }
    /// This part of a number of blocks.
    pub(crate) fn of(self, blocks: u64) -> u64 {
        exact(u128::from(blocks) * u128::from(self.hundredths) / 10_000)
    }
}
