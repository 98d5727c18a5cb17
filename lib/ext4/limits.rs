//! What an image can hold (rule E10). This is the only place that checks it: while an archive is read, so that the
//! error names the member, and again when the inode is written.

use super::format::device;
use super::format::dir_entry::NAME_MAX;
use super::format::xattr_block::XattrBlocks;
use super::layout::directory::DirError;
use super::layout::xattrs::{self, XattrError};
use crate::meta::{Device, Metadata, NodeKind, Xattrs};

/// `EXT4_LINK_MAX`
pub(crate) const MAX_LINKS: u32 = 65_000;
/// `PATH_MAX` without the final NUL.
const SYMLINK_MAX: usize = 4095;

/// Why ext4 cannot represent an inode.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InodeError {
    /// A component of its path is too long.
    #[error("name of {0} bytes, ext4 allows {NAME_MAX}")]
    Name(usize),
    /// More than 65,000 names of an inode other than a directory.
    #[error("{0} hard links, ext4 allows {MAX_LINKS}")]
    Links(u32),
    /// A symlink target that is empty or longer than 4,095 bytes.
    #[error("symbolic link to {0} bytes, Linux allows 1 to {SYMLINK_MAX}")]
    SymlinkLength(usize),
    /// A symlink target that contains a NUL, where the kernel and e2fsck would end it.
    #[error("symbolic link to a name that holds NUL")]
    SymlinkNul,
    /// A device major above 4095 or minor above 1048575.
    #[error("device {major}:{minor}, ext4 allows 4095:1048575")]
    Device {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A name in a directory, or the size of the directory.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// Extended attributes.
    #[error(transparent)]
    Xattr(#[from] XattrError),
    /// `lost+found`, which `e2fsck` needs, is not a directory.
    #[error("lost+found must be a directory")]
    LostFound,
}

/// Checks that an image can hold this inode under this path, as far as is known.
///
/// # Errors
/// Why it cannot.
pub fn check<C, T: AsRef<[u8]>>(
    path: &[u8],
    kind: &NodeKind<C, T>,
    meta: Metadata,
    xattrs: &Xattrs,
) -> Result<(), InodeError> {
    check_path(path)?;
    match kind {
        NodeKind::Symlink(target) => check_symlink(target.as_ref())?,
        NodeKind::CharDevice(device) | NodeKind::BlockDevice(device) => drop(encode_device(*device)?),
        NodeKind::Directory | NodeKind::File(_) | NodeKind::Fifo => {}
    }
    if !xattrs.is_empty() {
        xattrs::encode(meta.mode, kind, xattrs, &mut XattrBlocks::new())?;
    }
    Ok(())
}

/// Checks that all components of a path fit into directory entries.
///
/// # Errors
/// [`InodeError::Name`].
pub fn check_path(path: &[u8]) -> Result<(), InodeError> {
    let longest = path.split(|&byte| byte == b'/').map(<[u8]>::len).max().unwrap_or(0);
    if longest > NAME_MAX { Err(InodeError::Name(longest)) } else { Ok(()) }
}

pub(crate) fn check_symlink(target: &[u8]) -> Result<(), InodeError> {
    match target {
        [] => Err(InodeError::SymlinkLength(0)),
        _ if target.len() > SYMLINK_MAX => Err(InodeError::SymlinkLength(target.len())),
        _ if target.contains(&0) => Err(InodeError::SymlinkNul),
        _ => Ok(()),
    }
}

pub(crate) fn encode_device(device: Device) -> Result<[u32; 2], InodeError> {
    let Device { major, minor } = device;
    device::encode(device).ok_or(InodeError::Device { major, minor })
}
