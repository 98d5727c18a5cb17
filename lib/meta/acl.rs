//! POSIX access control lists in the kernel's form: the values of `system.posix_acl_access` and `_default`.
//!
//! Format: `struct posix_acl_xattr_header` and `posix_acl_xattr_entry` of the kernel's `uapi/linux/posix_acl_xattr.h`,
//! version 2. What is valid, and what is equivalent to a mode, follows POSIX.1e draft 17. The text form of tar archives
//! is in `tar::acl`, ext4's own form in `ext4`.

/// What is wrong with an ACL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclError {
    /// It is not a header followed by complete entries.
    #[error("ACL of {0} bytes is cut")]
    Length(usize),
    /// It is not the version that the kernel uses.
    #[error("ACL version {0} is not 2")]
    Version(u32),
    /// An entry is invalid.
    #[error("ACL entry with tag {tag:#x} and permissions {perm:#o} is not valid")]
    Entry {
        /// `e_tag`
        tag: u16,
        /// `e_perm`
        perm: u16,
    },
    /// An entry occurs twice.
    #[error("an ACL entry stands there twice")]
    Twice,
    /// The entry for the owner, the group or others is missing.
    #[error("the ACL entries of owner, group and others must all be there")]
    Incomplete,
    /// There are named entries but no mask.
    #[error("named ACL entries without a mask")]
    NoMask,
}

/// To whom an entry applies. In the order that the kernel demands; the values are the kernel's `ACL_*` tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum AclTag {
    /// The owner.
    UserObj = 0x01,
    /// The user with the entry's id.
    User = 0x02,
    /// The file's group.
    GroupObj = 0x04,
    /// The group with the entry's id.
    Group = 0x08,
    /// The upper limit for groups and named users.
    Mask = 0x10,
    /// Everyone else.
    Other = 0x20,
}

impl AclTag {
    /// Whether entries of this kind name a user or group.
    #[must_use]
    pub fn is_named(self) -> bool {
        matches!(self, Self::User | Self::Group)
    }
}

/// An entry of an ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclEntry {
    /// To whom it applies.
    pub tag: AclTag,
    /// The user or group, if the tag names one; else [`AclEntry::UNDEFINED_ID`].
    pub id: u32,
    /// Read 4, write 2, execute 1.
    pub perm: u16,
}

impl AclEntry {
    /// The id of entries without a name.
    pub const UNDEFINED_ID: u32 = u32::MAX;
}

/// A valid ACL, with its entries in the kernel's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl(Vec<AclEntry>);

const VERSION: u32 = 2;

impl Acl {
    /// Checks and sorts entries; `None` if there are none.
    ///
    /// # Errors
    /// When the kernel would refuse the entries.
    pub fn new(mut entries: Vec<AclEntry>) -> Result<Option<Self>, AclError> {
        if entries.is_empty() {
            return Ok(None);
        }
        entries.sort_unstable();
        if entries.windows(2).any(|pair| (pair[0].tag, pair[0].id) == (pair[1].tag, pair[1].id)) {
            return Err(AclError::Twice);
        }
        let has = |tag| entries.iter().any(|e| e.tag == tag);
        if ![AclTag::UserObj, AclTag::GroupObj, AclTag::Other].into_iter().all(has) {
            return Err(AclError::Incomplete);
        }
        if (has(AclTag::User) || has(AclTag::Group)) && !has(AclTag::Mask) {
            return Err(AclError::NoMask);
        }
        Ok(Some(Self(entries)))
    }

    /// Parses the value of an attribute. As in the kernel, a value that is empty or has no entries is not an ACL.
    /// Unlike there, entries may come in any order.
    ///
    /// # Errors
    /// When the kernel would refuse the entries.
    pub fn parse(value: &[u8]) -> Result<Option<Self>, AclError> {
        if value.is_empty() {
            return Ok(None);
        }
        let (version, entries) = value.split_first_chunk().ok_or(AclError::Length(value.len()))?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(AclError::Version(version));
        }
        if entries.len() % 8 != 0 {
            return Err(AclError::Length(value.len()));
        }
        Self::new(entries.chunks_exact(8).map(parse_entry).collect::<Result<_, _>>()?)
    }

    /// The entries in the kernel's order.
    #[must_use]
    pub fn entries(&self) -> &[AclEntry] {
        &self.0
    }

    /// Whether it is equivalent to permission bits: then no file system stores it.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.0.len() == 3
    }

    /// The nine permission bits of a file with this access ACL: the mask, if there is one, replaces the group's bits (E11).
    #[must_use]
    pub fn permissions(&self) -> u16 {
        let perm = |tag| self.0.iter().find(|e| e.tag == tag).map(|e| e.perm);
        let group = perm(AclTag::Mask).or_else(|| perm(AclTag::GroupObj));
        let classes = [perm(AclTag::UserObj), group, perm(AclTag::Other)];
        classes.into_iter().fold(0, |bits, p| bits << 3 | p.unwrap_or(0))
    }

    /// The value of the attribute.
    #[must_use]
    pub fn to_xattr(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + 8 * self.0.len());
        out.extend(VERSION.to_le_bytes());
        for entry in &self.0 {
            out.extend((entry.tag as u16).to_le_bytes());
            out.extend(entry.perm.to_le_bytes());
            out.extend(entry.id.to_le_bytes());
        }
        out
    }
}

fn parse_entry(raw: &[u8]) -> Result<AclEntry, AclError> {
    let number = u16::from_le_bytes([raw[0], raw[1]]);
    let perm = u16::from_le_bytes([raw[2], raw[3]]);
    let id = u32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]);
    let malformed = AclError::Entry { tag: number, perm };
    let tag = match number {
        0x01 => AclTag::UserObj,
        0x02 => AclTag::User,
        0x04 => AclTag::GroupObj,
        0x08 => AclTag::Group,
        0x10 => AclTag::Mask,
        0x20 => AclTag::Other,
        _ => return Err(malformed),
    };
    if perm > 7 || (tag.is_named() && id == AclEntry::UNDEFINED_ID) {
        return Err(malformed);
    }
    Ok(AclEntry { tag, id: if tag.is_named() { id } else { AclEntry::UNDEFINED_ID }, perm })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

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
    fn entries_are_sorted_and_the_mask_rules_the_group() {
        let value = xattr(&[(0x20, 0, NONE), (2, 4, 1000), (4, 5, 7), (0x10, 4, NONE), (1, 6, NONE)]);
        let acl = Acl::parse(&value).unwrap().unwrap();
        assert!(!acl.is_minimal());
        assert_eq!(acl.permissions(), 0o640);
        let sorted = xattr(&[(1, 6, NONE), (2, 4, 1000), (4, 5, NONE), (0x10, 4, NONE), (0x20, 0, NONE)]);
        assert_eq!(acl.to_xattr(), sorted);
    }

    #[test]
    fn three_entries_are_a_mode() {
        let acl = Acl::parse(&xattr(&[(0x20, 1, NONE), (1, 7, NONE), (4, 2, NONE)])).unwrap().unwrap();
        assert!(acl.is_minimal());
        assert_eq!(acl.permissions(), 0o721);
    }

    #[test]
    fn no_entries_are_no_acl() {
        assert_eq!(Acl::parse(b""), Ok(None));
        assert_eq!(Acl::parse(b"\x02\0\0\0"), Ok(None));
    }

    #[test]
    fn malformed_acls_are_refused() {
        assert_eq!(Acl::parse(b"\x02\0"), Err(AclError::Length(2)));
        assert_eq!(Acl::parse(b"\x02\0\0\0\x01"), Err(AclError::Length(5)));
        assert_eq!(Acl::parse(b"\x01\0\0\0"), Err(AclError::Version(1)));
        let base = [(1, 6, NONE), (4, 5, NONE), (0x20, 0, NONE)];
        let with = |more: &[(u16, u16, u32)]| Acl::parse(&xattr(&[&base[..], more].concat()));
        assert_eq!(with(&[(0x40, 0, NONE)]), Err(AclError::Entry { tag: 0x40, perm: 0 }));
        assert_eq!(with(&[(0x10, 8, NONE)]), Err(AclError::Entry { tag: 0x10, perm: 8 }));
        assert_eq!(with(&[(2, 4, NONE)]), Err(AclError::Entry { tag: 2, perm: 4 }));
        assert_eq!(with(&[(2, 4, 7)]), Err(AclError::NoMask));
        assert_eq!(with(&[(0x20, 4, 7)]), Err(AclError::Twice));
        assert_eq!(with(&[(2, 4, 7), (2, 5, 7), (0x10, 7, NONE)]), Err(AclError::Twice));
        assert_eq!(Acl::parse(&xattr(&base[..2])), Err(AclError::Incomplete));
        assert!(with(&[(2, 4, 7), (8, 5, 7), (0x10, 7, NONE)]).is_ok());
    }
}
