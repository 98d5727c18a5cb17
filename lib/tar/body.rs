//! What has to follow the headers of a member when it is written.

use std::io;

use super::{BLOCK, Segment};

/// What has to follow the headers of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberBody {
    /// The ranges of the file to write one after the other: all of it, or, for a file with holes, its segments
    /// widened to whole blocks. The added bytes are zeros.
    pub segments: Vec<Segment>,
    /// The number of zeros to write after that: 0 to 511.
    pub padding: usize,
}

impl MemberBody {
    /// The total length of the segments in bytes.
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

/// The end of a complete archive (S3): two zero blocks.
pub const END_MARKER: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Why a member cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Writing to the stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A name or link target is empty or contains a NUL byte.
    #[error("a name is empty or has a NUL byte in it")]
    Name,
    /// It has more extended attributes than readers accept.
    #[error("{0} bytes of attributes are too many for a PAX header")]
    TooLong(usize),
}
