use std::fmt;
use std::io;

use super::{NumberError, PaxError, PaxXattrError, SparseError};
use crate::meta::Shown;

/// What is wrong with a tar stream, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}at byte {offset}: {problem}", NamePrefix(member.as_deref()))]
pub struct Error {
    /// The member's name, where it is known.
    pub member: Option<Box<[u8]>>,
    /// Its offset in the stream, in bytes: that of the bad header block or record, or the end of a cut stream.
    pub offset: u64,
    /// What it is.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a tar stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The stream could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ends too early.
    #[error("the archive is cut off inside {0}")]
    Cut(Part),
    /// A block is not a header where one is due.
    #[error("not a tar header: its bytes sum up to {computed}, it says {}", StoredChecksum(*stored))]
    Checksum {
        /// The value of the checksum field; `None` if it is not a number.
        stored: Option<i64>,
        /// The unsigned sum of the block's bytes.
        computed: i64,
    },
    /// The very first block is not a header; the text says what it may be.
    #[error("not a tar header, so this is no tar archive{0}")]
    NotTar(&'static str),
    /// A header field is malformed or out of range.
    #[error("{field} \"{}\" {problem}", text.escape_ascii())]
    Field {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        text: Box<[u8]>,
        /// What is wrong with it.
        problem: NumberError,
    },
    /// A length exceeds what any real archive needs.
    #[error("{what} of {len} bytes is too long, {limit} are allowed")]
    TooLong {
        /// Of what.
        what: Part,
        /// The length it claims.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// An extended header is malformed.
    #[error("PAX header: {0}")]
    Pax(#[from] PaxError),
    /// A sparse map is malformed.
    #[error("sparse map: {0}")]
    Sparse(#[from] SparseError),
    /// An extended attribute is malformed.
    #[error("extended attribute: {0}")]
    Xattr(#[from] PaxXattrError),
    /// Global headers would take far more memory, or room in the result, than the members that they apply to.
    #[error("what global PAX headers say is repeated for too many members")]
    RepeatedGlobals,
    /// A device without a number.
    #[error("device in a v7 header, which has no room for its number")]
    NoDevice,
    /// Something unsupported that cannot be skipped without losing content.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// A part of a tar stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A header block.
    Header,
    /// The member that extended headers belong to.
    Extension,
    /// The body of an `L` or `K` member.
    LongName,
    /// The body of an `x` or `g` member.
    PaxHeader,
    /// Everything that `g` members said.
    Globals,
    /// A sparse map before the data.
    SparseMap,
    /// A member's data.
    Data,
    /// The padding after data.
    Padding,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "a header",
            Self::Extension => "an extended header's member",
            Self::LongName => "a long name",
            Self::PaxHeader => "a PAX header",
            Self::Globals => "global PAX headers",
            Self::SparseMap => "a sparse map",
            Self::Data => "a member's data",
            Self::Padding => "padding",
        })
    }
}

impl Error {
    pub(super) fn new(member: Option<&[u8]>, offset: u64, problem: impl Into<Problem>) -> Self {
        Self { member: member.map(Into::into), offset, problem: problem.into() }
    }

    /// The same error, attributed to the member with this name.
    pub(super) fn of(self, member: &[u8]) -> Self {
        Self { member: Some(member.into()), ..self }
    }

    /// Whether the stream ended too early (S1).
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(self.problem, Problem::Cut(_))
    }
}

/// For [`std::io::Read`] interfaces: a cut becomes `UnexpectedEof`. `Error::try_from` recovers the original.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error.problem {
            Problem::Io(inner) => inner.kind(),
            Problem::Cut(_) => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl TryFrom<io::Error> for Error {
    type Error = io::Error;

    /// The tar error inside an I/O error that [`super::MemberData`] returned, otherwise the I/O error itself.
    fn try_from(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<Self>()
    }
}

/// `name ` or nothing.
struct NamePrefix<'a>(Option<&'a [u8]>);

impl fmt::Display for NamePrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "{} ", Shown(name)),
            None => Ok(()),
        }
    }
}

struct StoredChecksum(Option<i64>);

impl fmt::Display for StoredChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sum) => write!(f, "{sum}"),
            None => f.write_str("no number"),
        }
    }
}
