//! What follows a member's headers when it is written.

use std::io;

use super::{BLOCK, Segment};

/// What must follow a member's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberBody {
    /// The ranges of the file to write one after the other: all of it, or for a file with holes its segments
    /// widened to whole blocks. What they have beyond the segments asked for are zeros.
    pub segments: Vec<Segment>,
    /// Zeros to write after that: 0 to 511 bytes.
    pub padding: usize,
}

impl MemberBody {
    /// How many bytes the segments hold.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }

    /// Whether no data follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

/// What an archive ends with, if it is whole (S3): two zero blocks.
pub const END_MARKER: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Why a member cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The stream does not take it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A name or link target is empty or has a NUL byte in it.
    #[error("a name is empty or has a NUL byte in it")]
    Name,
    /// Its extended attributes are more than any reader takes.
    #[error("{0} bytes of attributes are too many for a PAX header")]
    TooLong(usize),
}
