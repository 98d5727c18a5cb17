//! Reading every tar dialect (I rules) and writing the canonical one (T rules).
//!
//! A tar stream is a row of 512-byte blocks: a header block per member, then the member's data padded to a
//! block. What old headers cannot hold stands in extra members before the one it belongs to: GNU's `L` and `K`,
//! POSIX's `x` and `g`. Formats: POSIX.1-2017 `pax` (ustar and pax interchange format), the GNU tar manual
//! ("Basic Tar Format", "Storing Sparse Files"), star(5), libarchive's tar(5). Layouts and magics come from the
//! `tar` crate; how fields are read is ours.
//!
//! Where dialects and tools disagree, this reader decides:
//!
//! - A header is GNU's with the magic `"ustar  \0"`, ustar with `"ustar\0"` and any version, star with `tar\0` in its
//!   last four bytes, else v7. Only ustar (155 bytes) and star (131 bytes) have a prefix; but where GNU's times are no
//!   numbers they are the prefix that Go before 1.8 put there.
//! - A name ends at its first NUL. A PAX name with a NUL in it is refused: a C program would see another name.
//! - A number field that is all NUL is 0, as everywhere; an all blank one is malformed, as in GNU tar.
//! - A regular type with a trailing slash is a directory without a body, or only type NUL is: see [`TrailingSlash`].
//! - Symlinks, directories, devices and FIFOs have no body whatever their size field says (GNU tar, libarchive, Go).
//! - A hard link with a size has no body when the next block is a member header, and it has one when the next
//!   block is anything else. Zero blocks there are the end of the archive unless something that is not a member
//!   header follows within the body; at the end of the stream they are its end marker only if they are two more than that
//!   body, or if links of this archive have no bodies ([`End::PerhapsInBody`] else, for it may be cut). The body itself is
//!   skipped: it is the target's content once more.
//! - Types: `7` is a file, GNU's `D` a directory whose list is skipped, `V` (volume label) is skipped, `M` (continued
//!   from another volume) is an error; all others are skipped with one [`Warning`] for each type.
//! - `x` wins over `L` and `K`; Solaris' `X` is an `x`. Of several `x` before one member the last counts alone, as in GNU
//!   tar and bsdtar; of a record given twice the last. An empty value deletes the record and what `g` said; an empty
//!   xattr value is an empty xattr (F10).
//! - A single zero block ends the archive as in GNU tar, but it is no end marker: see [`End`].
//! - Access ACLs set the permission bits as extracting them would (E11), but not those of a symlink; three-entry ACLs are
//!   nothing but these bits, and an ACL that is malformed as raw attribute stays what it is.

pub mod acl;
mod body;
mod data;
mod empty;
mod encode;
mod error;
mod extensions;
mod foreign;
mod header;
mod limits;
mod member;
mod number;
mod pax;
mod pax_record;
mod read_tar;
mod reader;
mod sparse;
mod stream;
mod xattr;

pub use body::{END_MARKER, MemberBody, WriteError};
pub use data::Data;
pub use encode::encode;
pub use error::{Error, Part, Problem};
pub use header::is_header;
pub use number::NumberError;
pub use pax_record::PaxError;
pub use read_tar::{MemberSink, read_tar};
pub use reader::Reader;
pub use sparse::SparseError;
pub use xattr::PaxXattrError;

use crate::meta::{Entry, Metadata, Xattrs};

/// Size of a block in bytes: headers are one block, data is padded to whole blocks.
pub const BLOCK: usize = 512;

/// One file system object of the archive, everything but its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where in the stream its first header block stands, extended headers included; bytes.
    pub offset: u64,
    /// Its name as stored: not normalised, never with a NUL in it.
    pub path: Vec<u8>,
    /// What it is. A symbolic link's target is never empty.
    pub entry: Entry<StoredFile>,
    /// Its attributes. For hard links: what the header says, which is nobody's attributes.
    pub meta: Metadata,
    /// Its extended attributes, ACLs among them.
    pub xattrs: Xattrs,
}

/// A regular file as it stands in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its size in bytes, holes included.
    pub size: u64,
    /// When it has holes: the data segments in ascending order, apart from each other, none empty.
    pub sparse: Option<Vec<Segment>>,
    /// Where in the stream the first byte of [`Reader::data`] stands.
    pub data_offset: u64,
    /// How many bytes of data the archive holds: `size` without the holes.
    pub stored: u64,
}

impl StoredFile {
    /// Its size and holes.
    #[must_use]
    pub fn layout(&self) -> FileLayout<'_> {
        FileLayout { size: self.size, sparse: self.sparse.as_deref() }
    }
}

/// How large a regular file is, and where it has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLayout<'a> {
    /// Its size with its holes; bytes.
    pub size: u64,
    /// Its data segments if it has holes: ascending, apart from each other, within `size`.
    pub sparse: Option<&'a [Segment]>,
}

/// A run of data in a file that has holes; bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where in the file it begins.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

/// What a member of a regular type ('0', NUL, '7') is whose name ends in a slash (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// A directory without a body, whatever its size says, as GNU tar and bsdtar have it.
    Directory,
    /// That for type NUL, else a file, as containerd and Docker (Go) have it in layers.
    AsInLayers,
}

/// How a stream ended. Only [`End::Marker`] tells that nothing was cut off (S1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With two zero blocks.
    Marker,
    /// With one zero block, then the end of the stream or something else. GNU tar warns and succeeds.
    LoneZeroBlock,
    /// With zero blocks that may be the body of a hard link, cut off.
    PerhapsInBody,
    /// After a whole member.
    CleanEof,
}

/// Something skipped that the user may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where the member's header stands in the stream; bytes.
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
    /// A modification time that is no number (`nan`).
    Time,
    /// An NFSv4 ACL (`SCHILY.acl.ace`), which ext4 cannot hold.
    Nfs4Acl,
    /// An access ACL of a symbolic link that says no more than permission bits do.
    SymlinkAcl,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type(flag) => write!(f, "unknown type '{}' skipped", flag.escape_ascii()),
            Self::Time => f.write_str("time that is no number skipped"),
            Self::Nfs4Acl => f.write_str("NFSv4 ACL skipped"),
            Self::SymlinkAcl => f.write_str("ACL of a symbolic link skipped"),
        }
    }
}
