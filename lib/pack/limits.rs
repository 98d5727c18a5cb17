//! What ext4 cannot hold is refused where it stands in the archive (E10), not when the image is finished.

use super::error::Problem;
use crate::ext4::{self, FileType, check_xattr_name};
use crate::meta::{Entry, Metadata, NodeKind, Shown, Xattr, Xattrs};
use crate::tar::Member;

/// Refuses what no ext4 image can hold; leaves attributes out that Linux would not set either, with a warning.
pub(super) fn check(member: &mut Member) -> Result<(), Problem> {
    let Entry::Node(kind) = &member.entry else {
        return Ok(ext4::check_path(&member.path)?); // a link changes no attributes (F8)
    };
    let file_type = FileType::from(kind);
    let supported = |xattr: &&Xattr| check_xattr_name(&xattr.name, file_type).is_ok();
    if !member.xattrs.as_slice().iter().all(|xattr| supported(&xattr)) {
        for reason in member.xattrs.as_slice().iter().filter_map(|x| check_xattr_name(&x.name, file_type).err()) {
            log::warn!("{} at byte {}: {reason}; left out", Shown(&member.path), member.offset);
        }
        member.xattrs = Xattrs::new(member.xattrs.as_slice().iter().filter(supported).cloned().collect());
    }
    check_node(&member.path, kind, member.meta, &member.xattrs)
}

/// Refuses what no ext4 image can hold.
pub(super) fn check_node<C, T: AsRef<[u8]>>(
    path: &[u8],
    kind: &NodeKind<C, T>,
    meta: Metadata,
    xattrs: &Xattrs,
) -> Result<(), Problem> {
    Ok(ext4::check(path, kind, meta, xattrs)?)
}
