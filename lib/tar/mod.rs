//! Reading every tar dialect (I rules) and writing the canonical one (T rules).
//!
//! A tar stream is a sequence of 512-byte blocks: a header block per member, then the member's data padded to a
//! block. What old headers cannot hold is in extra members before the one it belongs to: GNU's `L` and `K`,
//! POSIX's `x` and `g`. Formats: POSIX.1-2017 `pax` (ustar and pax interchange format), the GNU tar manual
//! ("Basic Tar Format", "Storing Sparse Files"), star(5), libarchive's tar(5). Layouts and magics come from the
//! `tar` crate; how fields are read is ours.
//!
//! Where dialects and tools disagree, this reader decides:
//!
//! - A header is GNU's with the magic `"ustar  \0"`, ustar with `"ustar\0"` and any version, star with `tar\0` in its
//!   last four bytes, else v7. Only ustar (155 bytes) and star (131 bytes) have a prefix; but if GNU's times are not
//!   numbers, they are the prefix that Go before 1.8 put there.
//! - A name ends at its first NUL. A PAX name that contains a NUL is refused: a C program would see another name.
//! - A number field of NULs is 0, as everywhere; one of blanks is malformed, as in GNU tar.
//! - A regular file with a trailing slash is a directory without a body, or only type NUL is: see [`TrailingSlash`].
//! - Symlinks, directories, devices and FIFOs have no body, whatever their size field says (GNU tar, libarchive, Go).
//! - A hard link with a size has no body if the next block is a member header, and has one if the next block is anything
//!   else. Zero blocks there are the end of the archive unless something that is not a member header follows within the
//!   body; at the end of the stream they are its end marker only if there are two more than that body would take, or if
//!   links of this archive have no bodies (otherwise [`End::PerhapsInBody`], because the archive may be cut). The body is
//!   skipped: it repeats the content of the target. One that is itself an archive is an error, if it shows: if this archive
//!   goes on after its end marker.
//! - Types: `7` is a file, GNU's `D` a directory whose list is skipped, `V` (volume label) is skipped, `M` (continued
//!   from another volume) is an error; all others are skipped with one [`Warning`] per type.
//! - `x` wins over `L` and `K`; Solaris' `X` is an `x`. Of several `x` before one member only the last counts, as in GNU
//!   tar and bsdtar; of a repeated record also the last. An empty value deletes the record and what `g` said; an empty
//!   xattr value is an empty xattr (F10).
//! - A single zero block ends the archive as in GNU tar, but it is not an end marker: see [`End`].
//! - Access ACLs set the permission bits as extracting them would (E11), except for symlinks; ACLs of three entries are
//!   nothing but these bits, and a malformed ACL in a raw attribute is kept as it is.

pub mod acl;
mod body;
mod empty;
mod encode;
mod error;
mod extensions;
mod foreign;
mod header;
mod limits;
mod member;
mod member_data;
mod number;
mod pax;
mod pax_record;
mod read_tar;
mod reader;
mod sparse;
mod stream;
mod xattr;
mod xattr_name;

pub use body::{END_MARKER, MemberBody, WriteError};
pub use encode::encode;
pub use error::{Error, Part, Problem};
pub use header::is_header;
pub use member_data::MemberData;
pub use number::NumberError;
pub use pax_record::PaxError;
pub use read_tar::{MemberSink, read_tar};
pub use reader::Reader;
pub use sparse::SparseError;
pub use xattr::PaxXattrError;

use std::fmt;

use crate::meta::{Entry, Metadata, Shown, Xattrs};

/// The size of a block in bytes: headers are one block, data is padded to whole blocks.
pub const BLOCK: usize = 512;
/// The same, for offsets and lengths in a stream.
const UNIT: u64 = BLOCK as u64;

/// A member of an archive, without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The offset of its first header block in the stream, extended headers included; bytes.
    pub offset: u64,
    /// Its name as stored: not normalised, but free of NULs.
    pub path: Vec<u8>,
    /// What it is. A symbolic link's target is never empty.
    pub entry: Entry<StoredFile>,
    /// Its attributes. Those of a hard link are as in the header, but meaningless.
    pub meta: Metadata,
    /// Its extended attributes, ACLs among them.
    pub xattrs: Xattrs,
}

/// A regular file, as stored in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its size in bytes, holes included.
    pub size: u64,
    /// If it has holes: its data segments, in ascending order, neither adjacent nor empty.
    pub sparse: Option<Vec<Segment>>,
    /// The offset of the first byte of [`Reader::data`] in the stream.
    pub data_offset: u64,
    /// The number of data bytes in the archive: `size` without the holes.
    pub stored: u64,
}

impl StoredFile {
    /// Its size and holes.
    #[must_use]
    pub fn layout(&self) -> FileLayout<'_> {
        FileLayout { size: self.size, sparse: self.sparse.as_deref() }
    }

    /// Its data segments; without holes, all of it is one.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        let whole = self.sparse.is_none().then_some(Segment { offset: 0, len: self.size });
        self.sparse.iter().flatten().copied().chain(whole)
    }
}

/// The size of a regular file, and where it has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLayout<'a> {
    /// Its size in bytes, holes included.
    pub size: u64,
    /// Its data segments if it has holes: ascending, not adjacent, within `size`.
    pub sparse: Option<&'a [Segment]>,
}

/// A range of data in a file that has holes; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its offset in the file.
    pub offset: u64,
    /// Its length.
    pub len: u64,
}

/// What a member of a regular type ('0', NUL, '7') is if its name ends in a slash (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// A directory without a body, whatever its size, as in GNU tar and bsdtar.
    Directory,
    /// A directory if its type is NUL, else a file, as containerd and Docker (Go) treat layers.
    AsInLayers,
}

/// How a stream ended. Only [`End::Marker`] shows that nothing was cut off (S1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Two zero blocks.
    Marker,
    /// One zero block, then the end of the stream or something else. GNU tar warns and succeeds.
    LoneZeroBlock,
    /// Zero blocks that may be the truncated body of a hard link.
    PerhapsInBody,
    /// The end of the stream after a complete member.
    CleanEof,
}

/// Something that was skipped, about which the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The offset of the member's header in the stream, in bytes.
    pub offset: u64,
    /// The member's name.
    pub member: Vec<u8>,
    /// What was skipped.
    pub skipped: Skipped,
}

/// What a [`Warning`] is about. Each is reported for its first member only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// A member of this unknown type.
    Type(u8),
    /// A modification time that is not a number (`nan`).
    Time,
    /// An NFSv4 ACL (`SCHILY.acl.ace`), which ext4 cannot hold.
    Nfs4Acl,
    /// An access ACL of a symbolic link that is equivalent to permission bits.
    SymlinkAcl,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", Shown(&self.member), self.offset, self.skipped)
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(flag) => write!(f, "unknown type '{}' skipped", flag.escape_ascii()),
            Self::Time => f.write_str("time that is no number skipped"),
            Self::Nfs4Acl => f.write_str("NFSv4 ACL skipped"),
            Self::SymlinkAcl => f.write_str("ACL of a symbolic link skipped"),
        }
    }
}
