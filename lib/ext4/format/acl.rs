//! POSIX access control lists: from the form of `getxattr(2)` to ext4's own.
//!
//! Source form: `struct posix_acl_xattr_header` and `posix_acl_xattr_entry` of the kernel's
//! `uapi/linux/posix_acl_xattr.h`, version 2. On disk: version 1, where entries without an id are 4 bytes short.
//! What is valid and what is equivalent to a mode follows POSIX.1e draft 17.

const XATTR_VERSION: u32 = 2;
const DISK_VERSION: u32 = 1;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// What is wrong with an ACL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AclError {
    /// Not a header and whole entries.
    #[error("ACL of {0} bytes is cut")]
    Length(usize),
    /// Not the version that the kernel speaks.
    #[error("ACL version {0} is not 2")]
    Version(u32),
    /// An entry that means nothing.
    #[error("ACL entry with tag {tag:#x} and permissions {perm:#o} is not valid")]
    Entry {
        /// `e_tag`
        tag: u16,
        /// `e_perm`
        perm: u16,
    },
    /// Owner, group and others must occur once, the mask too where users or groups are named.
    #[error("ACL has {count} entries with tag {tag:#x} where {wanted} are needed")]
    Count {
        /// `e_tag`
        tag: u16,
        /// How many there are.
        count: usize,
        /// How many there should be.
        wanted: &'static str,
    },
    /// A user or group is named twice.
    #[error("ACL names id {id} twice")]
    Duplicate {
        /// The user or group.
        id: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tag: u16,
    /// 0 where the tag takes none.
    id: u32,
    perm: u16,
}

/// A valid ACL, in the order that the kernel demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl(Vec<Entry>);

impl Acl {
    /// Reads the value of `system.posix_acl_access` or `system.posix_acl_default`. One without entries is no ACL.
    ///
    /// # Errors
    /// A value that the kernel would refuse. Only the order of entries is forgiven.
    pub(crate) fn parse(value: &[u8]) -> Result<Option<Self>, AclError> {
        let (header, rest) = value.split_first_chunk().ok_or(AclError::Length(value.len()))?;
        let version = u32::from_le_bytes(*header);
        if version != XATTR_VERSION {
            return Err(AclError::Version(version));
        }
        if rest.len() % 8 != 0 {
            return Err(AclError::Length(value.len()));
        }
        let mut entries = rest.chunks_exact(8).map(parse_entry).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Ok(None);
        }
        entries.sort_unstable();
        check(&entries)?;
        Ok(Some(Self(entries)))
    }

    /// The value on disk.
    #[must_use]
    pub(crate) fn to_disk(&self) -> Vec<u8> {
        let mut bytes = DISK_VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend_from_slice(&entry.tag.to_le_bytes());
            bytes.extend_from_slice(&entry.perm.to_le_bytes());
            if matches!(entry.tag, USER | GROUP) {
                bytes.extend_from_slice(&entry.id.to_le_bytes());
            }
        }
        bytes
    }

    /// The nine permission bits that a file with this access ACL shows: the mask, where there is one, in place of
    /// the group's (E11).
    #[must_use]
    pub(crate) fn mode(&self) -> u16 {
        let perm = |tag| self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.perm);
        let group = perm(MASK).or_else(|| perm(GROUP_OBJ)).unwrap_or(0);
        (perm(USER_OBJ).unwrap_or(0) << 6) | (group << 3) | perm(OTHER).unwrap_or(0)
    }

    /// Whether the mode says all that this ACL says: then no file system stores it.
    #[must_use]
    pub(crate) fn is_mode_only(&self) -> bool {
        self.0.len() == 3
    }
}

fn parse_entry(raw: &[u8]) -> Result<Entry, AclError> {
    let tag = u16::from_le_bytes([raw[0], raw[1]]);
    let perm = u16::from_le_bytes([raw[2], raw[3]]);
    let id = u32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]);
    let named = matches!(tag, USER | GROUP);
    let known = named || matches!(tag, USER_OBJ | GROUP_OBJ | MASK | OTHER);
    if !known || perm > 7 || (named && id == u32::MAX) {
        return Err(AclError::Entry { tag, perm });
    }
    Ok(Entry { tag, perm, id: if named { id } else { 0 } })
}

fn check(entries: &[Entry]) -> Result<(), AclError> {
    let count = |tag| entries.iter().filter(|entry| entry.tag == tag).count();
    for tag in [USER_OBJ, GROUP_OBJ, OTHER] {
        if count(tag) != 1 {
            return Err(AclError::Count { tag, count: count(tag), wanted: "1" });
        }
    }
    let named = count(USER) + count(GROUP) > 0;
    match count(MASK) {
        1 => {}
        0 if !named => {}
        0 => return Err(AclError::Count { tag: MASK, count: 0, wanted: "1" }),
        count => return Err(AclError::Count { tag: MASK, count, wanted: "0 or 1" }),
    }
    match entries.windows(2).find(|pair| (pair[0].tag, pair[0].id) == (pair[1].tag, pair[1].id)) {
        Some(pair) => Err(AclError::Duplicate { id: pair[0].id }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

    use super::*;

    const NONE: u32 = u32::MAX;

    fn xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0];
        for &(tag, perm, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(perm.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn named_entries_keep_their_id_and_the_others_lose_the_field() {
        let value =
            xattr(&[(USER_OBJ, 6, NONE), (USER, 4, 1000), (GROUP_OBJ, 5, NONE), (MASK, 4, NONE), (OTHER, 0, NONE)]);
        let acl = Acl::parse(&value).unwrap().unwrap();
        assert!(!acl.is_mode_only());
        assert_eq!(acl.mode(), 0o640);
        let disk =
            [&[1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xe8, 3, 0, 0][..], &[4, 0, 5, 0, 0x10, 0, 4, 0, 0x20, 0, 0, 0]];
        assert_eq!(acl.to_disk(), disk.concat());
    }

    #[test]
    fn three_entries_are_a_mode() {
        let acl = Acl::parse(&xattr(&[(OTHER, 1, NONE), (USER_OBJ, 7, NONE), (GROUP_OBJ, 2, NONE)])).unwrap().unwrap();
        assert!(acl.is_mode_only());
        assert_eq!(acl.mode(), 0o721);
    }

    #[test]
    fn malformed_acls_are_refused() {
        assert_eq!(Acl::parse(b"\x02\0"), Err(AclError::Length(2)));
        assert_eq!(Acl::parse(b"\x02\0\0\0\x01"), Err(AclError::Length(5)));
        assert_eq!(Acl::parse(b"\x01\0\0\0"), Err(AclError::Version(1)));
        assert_eq!(Acl::parse(b"\x02\0\0\0"), Ok(None));
        let base = [(USER_OBJ, 6, NONE), (GROUP_OBJ, 5, NONE), (OTHER, 0, NONE)];
        let with = |more: &[(u16, u16, u32)]| Acl::parse(&xattr(&[&base[..], more].concat()));
        assert_eq!(with(&[(0x40, 0, NONE)]), Err(AclError::Entry { tag: 0x40, perm: 0 }));
        assert_eq!(with(&[(MASK, 8, NONE)]), Err(AclError::Entry { tag: MASK, perm: 8 }));
        assert_eq!(with(&[(USER, 4, 7)]), Err(AclError::Count { tag: MASK, count: 0, wanted: "1" }));
        assert_eq!(with(&[(OTHER, 4, 7)]), Err(AclError::Count { tag: OTHER, count: 2, wanted: "1" }));
        assert_eq!(with(&[(USER, 4, 7), (USER, 5, 7), (MASK, 7, NONE)]), Err(AclError::Duplicate { id: 7 }));
        assert!(with(&[(USER, 4, 7), (GROUP, 5, 7), (MASK, 7, NONE)]).is_ok());
    }
}
