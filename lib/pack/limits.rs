//! What ext4 cannot hold is refused where it stands in the archive (E10), not when the image is finished.

use super::error::Problem;
use crate::ext4::{FileData, FileType, NAME_MAX, check_time, check_xattr_name, check_xattrs};
use crate::meta::{Device, Entry, Metadata, NodeKind, Shown, Xattr, Xattrs};
use crate::tar::Member;

/// The longest symbolic link that Linux reads: `PATH_MAX` less its NUL.
const SYMLINK_MAX: usize = 4095;
/// Linux device numbers have 12 and 20 bits.
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;

/// Refuses what no ext4 image can hold; leaves attributes out that Linux would not set either, with a warning.
pub(super) fn check(member: &mut Member) -> Result<(), Problem> {
    check_name(&member.path)?;
    let Entry::Node(kind) = &member.entry else {
        return Ok(()); // a link changes no attributes (F8)
    };
    let file_type = check_kind(kind)?;
    check_time(member.meta.mtime).map_err(Problem::Time)?;
    if member.xattrs.is_empty() {
        return Ok(());
    }
    let supported = |xattr: &&Xattr| check_xattr_name(&xattr.name, file_type).is_ok();
    if !member.xattrs.as_slice().iter().all(|xattr| supported(&xattr)) {
        for reason in member.xattrs.as_slice().iter().filter_map(|x| check_xattr_name(&x.name, file_type).err()) {
            log::warn!("{} at byte {}: {reason}; left out", Shown(&member.path), member.offset);
        }
        member.xattrs = Xattrs::new(member.xattrs.as_slice().iter().filter(supported).cloned().collect());
    }
    check_xattrs(member.meta.mode, file_type, &member.xattrs).map_err(Problem::Xattr)
}

/// Refuses what no ext4 image can hold.
pub(super) fn check_node(
    path: &[u8],
    kind: &NodeKind<FileData>,
    meta: Metadata,
    xattrs: &Xattrs,
) -> Result<(), Problem> {
    check_name(path)?;
    let file_type = check_kind(kind)?;
    check_time(meta.mtime).map_err(Problem::Time)?;
    for xattr in xattrs.as_slice() {
        check_xattr_name(&xattr.name, file_type).map_err(Problem::Xattr)?;
    }
    check_xattrs(meta.mode, file_type, xattrs).map_err(Problem::Xattr)
}

fn check_name(path: &[u8]) -> Result<(), Problem> {
    let longest = path.split(|&byte| byte == b'/').map(<[u8]>::len).max().unwrap_or(0);
    if longest > NAME_MAX { Err(Problem::Name(longest)) } else { Ok(()) }
}

fn check_kind<C>(kind: &NodeKind<C>) -> Result<FileType, Problem> {
    match kind {
        NodeKind::Symlink(target) if target.len() > SYMLINK_MAX => Err(Problem::Symlink(target.len())),
        NodeKind::CharDevice(Device { major, minor }) | NodeKind::BlockDevice(Device { major, minor })
            if *major > MAJOR_MAX || *minor > MINOR_MAX =>
        {
            Err(Problem::Device { major: *major, minor: *minor })
        }
        _ => Ok(kind.into()),
    }
}
