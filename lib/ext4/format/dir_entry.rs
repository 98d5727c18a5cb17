//! A name in a directory: `ext4_dir_entry_2`.
//!
//! Format: "Directory Entries" in the kernel's ext4 documentation.

use crate::ext4::number::{InodeNumber, exact};
use crate::meta::NodeKind;

/// The longest name, in bytes.
pub(crate) const NAME_MAX: usize = 255;
/// `inode`, `rec_len`, `name_len` and `file_type`.
const HEADER: usize = 8;

/// The `file_type` of a directory.
pub(crate) const EXT4_FT_DIR: u8 = 2;

/// The `file_type` byte of a directory entry, one of the kernel's `EXT4_FT_*`.
pub(crate) fn file_type<C, T>(kind: &NodeKind<C, T>) -> u8 {
    match kind {
        NodeKind::File(_) => 1,
        NodeKind::Directory => EXT4_FT_DIR,
        NodeKind::CharDevice(_) => 3,
        NodeKind::BlockDevice(_) => 4,
        NodeKind::Fifo => 5,
        NodeKind::Symlink(_) => 7,
    }
}

/// A name in a directory, but not `.` and `..`, which are added when the directory is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirEntry<'a> {
    /// The name: 1 to 255 bytes, any but NUL and `/`.
    pub(crate) name: &'a [u8],
    /// The inode it names.
    pub(crate) inode: InodeNumber,
    /// See [`file_type`].
    pub(crate) file_type: u8,
}

/// Checks that a directory can hold a name.
pub(crate) fn check_name(name: &[u8]) -> Result<(), &'static str> {
    match name {
        b"" => Err("empty"),
        b"." | b".." => Err("reserved"),
        _ if name.len() > NAME_MAX => Err("longer than 255 bytes"),
        _ if name.iter().any(|&byte| byte == 0 || byte == b'/') => Err("holds NUL or a slash"),
        _ => Ok(()),
    }
}

/// The size of an entry in bytes: header and name, rounded up to a multiple of 4.
pub(crate) fn record_length(name: usize) -> usize {
    (name.saturating_add(HEADER + 3)) & !3
}

/// Writes header and name of an entry at `at`; `length` extends to the next entry. Without an inode it is an empty entry.
pub(crate) fn put_entry(
    block: &mut [u8],
    at: usize,
    length: usize,
    name: &[u8],
    inode: Option<InodeNumber>,
    file_type: u8,
) {
    block[at..at + 4].copy_from_slice(&inode.map_or(0, InodeNumber::get).to_le_bytes());
    put_length(block, at, length);
    block[at + 6] = exact(name.len()); // see `check_name`
    block[at + 7] = file_type;
    block[at + HEADER..at + HEADER + name.len()].copy_from_slice(name);
}

/// Sets the `rec_len` of the entry at `at`: at most a block.
pub(crate) fn put_length(block: &mut [u8], at: usize, length: usize) {
    block[at + 4..at + 6].copy_from_slice(&exact::<u16, _>(length).to_le_bytes());
}
