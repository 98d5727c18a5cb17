//! What ext4 cannot hold is refused where it stands in the archive (E10), not when the image is finished.

use super::error::{Problem, Shown};
use crate::ext4::{FileType, NAME_MAX, XattrError, check_xattr_name, check_xattrs};
use crate::meta::{Device, Xattrs};
use crate::tar::{Member, MemberKind};

/// The longest symbolic link that Linux reads: `PATH_MAX` less its NUL.
const SYMLINK_MAX: usize = 4095;
/// Linux device numbers have 12 and 20 bits.
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;

/// Refuses what no ext4 image can hold; leaves attributes out that Linux would not set either, with a warning.
pub(super) fn check(member: &mut Member) -> Result<(), Problem> {
    let longest = member.path.split(|&byte| byte == b'/').map(<[u8]>::len).max().unwrap_or(0);
    if longest > NAME_MAX {
        return Err(Problem::Name(longest));
    }
    match &member.kind {
        MemberKind::Symlink(target) if target.len() > SYMLINK_MAX => return Err(Problem::Symlink(target.len())),
        MemberKind::CharDevice(Device { major, minor }) | MemberKind::BlockDevice(Device { major, minor })
            if *major > MAJOR_MAX || *minor > MINOR_MAX =>
        {
            return Err(Problem::Device { major: *major, minor: *minor });
        }
        _ => {}
    }
    if member.xattrs.is_empty() {
        return Ok(());
    }
    let file_type = match member.kind {
        MemberKind::HardLink(_) => return Ok(()), // a link changes no attributes (F8)
        MemberKind::File => FileType::File,
        MemberKind::Directory => FileType::Directory,
        MemberKind::Symlink(_) => FileType::Symlink,
        MemberKind::CharDevice(_) => FileType::CharDevice,
        MemberKind::BlockDevice(_) => FileType::BlockDevice,
        MemberKind::Fifo => FileType::Fifo,
    };
    let unsupported: Vec<XattrError> =
        member.xattrs.as_slice().iter().filter_map(|xattr| check_xattr_name(&xattr.name, file_type).err()).collect();
    if !unsupported.is_empty() {
        for reason in &unsupported {
            log::warn!("{} at byte {}: {reason}; left out", Shown(&member.path), member.offset);
        }
        let kept = member.xattrs.as_slice().iter().filter(|xattr| check_xattr_name(&xattr.name, file_type).is_ok());
        member.xattrs = Xattrs::new(kept.cloned().collect());
    }
    check_xattrs(member.meta.mode, file_type, &member.xattrs).map_err(Problem::Xattr)
}
