//! Refuses what ext4 cannot hold when it is met in the archive (E10), not when the image is finished.

use super::error::EntryError;
use crate::ext4::{self, check_xattr_name};
use crate::meta::{Acl, Entry, NodeKind, SharedXattrs, Shown, Xattr, Xattrs};
use crate::tar::Member;

/// Refuses what no ext4 image can hold; leaves out attributes that Linux would not set either, with a warning.
pub(super) fn check(member: &mut Member, shared: &mut SharedXattrs) -> Result<(), EntryError> {
    let Entry::Node(kind) = &member.entry else {
        return Ok(ext4::check_path(&member.path)?); // the attributes of a link are ignored (F8)
    };
    let mut left_out = 0;
    for reason in member.xattrs.iter().filter_map(|xattr| unsettable(xattr, kind)) {
        log::warn!("{} at byte {}: {reason}; left out", Shown(&member.path), member.offset);
        left_out += 1;
    }
    if left_out > 0 {
        let kept = member.xattrs.iter().filter(|xattr| unsettable(*xattr, kind).is_none());
        member.xattrs = shared.share(Xattrs::new(kept.collect()));
    }
    Ok(ext4::check(&member.path, kind, member.meta, &member.xattrs)?)
}

/// Why Linux would not set this attribute on such a file, see setxattr(2); `None` if it would.
fn unsettable<C, T>(xattr: Xattr<&[u8]>, kind: &NodeKind<C, T>) -> Option<String> {
    if let Err(reason) = check_xattr_name(xattr.name, kind) {
        return Some(reason.to_string());
    }
    match xattr.name {
        b"security.capability" if !is_capability(xattr.value) => {
            Some("attribute security.capability: malformed, and a file that has it cannot be run".to_owned())
        }
        b"system.posix_acl_access" | b"system.posix_acl_default" => {
            let error = Acl::parse(xattr.value).err()?;
            Some(format!("attribute {}: {error}", Shown(xattr.name)))
        }
        _ => None,
    }
}

/// Whether a value is a `struct vfs_cap_data` (20 bytes, revision 2) or a `vfs_ns_cap_data` (24 bytes, revision 3) of the
/// kernel's `uapi/linux/capability.h`; it accepts nothing else.
fn is_capability(value: &[u8]) -> bool {
    const EFFECTIVE: u8 = 1; // the only flag
    match value {
        [flags, 0, 0, 2, ..] => value.len() == 20 && flags & !EFFECTIVE == 0,
        [flags, 0, 0, 3, ..] => value.len() == 24 && flags & !EFFECTIVE == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_would_not_set_is_told() {
        const FILE: NodeKind<(), ()> = NodeKind::File(());
        let reason = |name: &str, value: &[u8], kind| unsettable(Xattr { name: name.as_bytes(), value }, &kind);
        let capability = |revision: u8, flags: u8, len: usize| {
            let mut value = vec![0; len];
            (value[0], value[3]) = (flags, revision);
            reason("security.capability", &value, FILE)
        };
        assert_eq!([capability(2, 1, 20), capability(2, 0, 20), capability(3, 1, 24)], [None, None, None]);
        for bad in [capability(1, 1, 12), capability(2, 1, 24), capability(3, 1, 20), capability(2, 2, 20)] {
            assert!(bad.is_some_and(|reason| reason.contains("malformed")));
        }
        assert!(reason("security.capability", b"", FILE).is_some());
        assert!(reason("system.posix_acl_access", b"x", FILE).is_some());
        assert_eq!(reason("system.posix_acl_access", b"\x02\0\0\0", FILE), None);
        assert!(reason("system.posix_acl_access", b"\x02\0\0\0", NodeKind::Symlink(())).is_some());
        assert_eq!(reason("user.a", b"", NodeKind::Directory), None);
    }
}
