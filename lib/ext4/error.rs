//! Errors of the image writer.

use std::io;

use super::layout::file_data;
use super::limits::InodeError;
use super::number::BLOCK_BYTES;
use crate::meta::Shown;

/// Why an image cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The content source failed.
    #[error("reading content: {0}")]
    Input(#[source] io::Error),
    /// The content source ended before the announced size.
    #[error("content ends {missing} bytes before its size")]
    InputCut {
        /// How many bytes are missing.
        missing: u64,
    },
    /// A data segment is out of order, overlaps another or passes the end of the file.
    #[error("data segment of {len} bytes at byte {offset} overlaps another or passes the file's end")]
    Segment {
        /// Where the segment starts in the file, in bytes.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// A file is larger than an extent tree can map.
    #[error("file of {size} bytes is larger than ext4 allows ({} bytes)", file_data::MAX_SIZE)]
    FileTooLarge {
        /// The file's size in bytes.
        size: u64,
    },
    /// The image could not be written.
    #[error("writing {len} bytes at byte {offset} of the image: {source}")]
    Write {
        /// Byte offset in the target.
        offset: u64,
        /// The number of bytes to write.
        len: u64,
        /// The origin of the bytes, if they are content.
        origin: Option<Box<Origin>>,
        /// The cause.
        source: io::Error,
    },
    /// The content does not fit into the requested size (rule E10). `needed` is sufficient as a size.
    #[error("no space: the image needs {needed} bytes, its size is {size}")]
    NoSpace {
        /// The requested size in bytes.
        size: u64,
        /// A size in bytes that is sufficient for the same content and options.
        needed: u64,
    },
    /// The content is so much larger than the requested size that it was not counted to its end.
    #[error("no space: the image needs more than {more_than} bytes, its size is {size}")]
    FarTooSmall {
        /// The requested size in bytes.
        size: u64,
        /// A lower bound for the size of the content in bytes.
        more_than: u64,
    },
    /// The content needs more inodes than requested, or than the image can have.
    #[error("no space: the image needs {needed} inodes, it has {inodes}")]
    NoInodes {
        /// The number of inodes that was requested or is possible.
        inodes: u64,
        /// The number of inodes that the content needs.
        needed: u64,
    },
    /// More than 2^32 - 1 blocks.
    #[error("image is larger than 32-bit block numbers allow ({} bytes)", u64::from(u32::MAX) * BLOCK_BYTES)]
    ImageTooLarge,
    /// Without `--size`, the image grew beyond the reserved descriptors.
    #[error("image without a given size is larger than {limit} bytes: give a size")]
    GrowthBound {
        /// The bound in bytes.
        limit: u64,
    },
    /// An option is out of range.
    #[error("{0}")]
    Option(String),
    /// An inode that ext4 cannot represent (rule E10).
    #[error("{}: {source}", Shown(path))]
    Inode {
        /// The path of one of its names from the root, as raw bytes.
        path: Vec<u8>,
        /// The reason.
        source: InodeError,
    },
    /// The tree breaks the contract of [`super::FileTree`].
    #[error("tree: inode {id}: {reason}")]
    Tree {
        /// Its id.
        id: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Where content comes from, as told by the caller; see [`ImageWriter::set_origin`](super::ImageWriter::set_origin).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The name of the file, as raw bytes.
    pub name: Vec<u8>,
    /// Its offset in the caller's input, in bytes.
    pub offset: u64,
}
