//! POSIX ACLs: the text that tar archives carry and the binary form of the kernel's xattrs.
//!
//! Text entries stand apart by commas or line feeds, `#` begins a comment: `user::rwx`, `user:NAME:rwx:UID`,
//! `user:UID:rwx`, `mask::r-x`, also `u:`, `g:`, `m:`, `o:`, and Solaris' `mask:r-x` and `other:r-x`. Names say nothing
//! outside the system they come from (but `root`): the number counts, a named entry without one is an error. See star(1),
//! acl(5), libarchive's `archive_entry_acl(3)`; for the binary form the kernel's `posix_acl_xattr.h`.

/// What can be wrong with an ACL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclError {
    /// An entry is malformed.
    #[error("\"{0}\" is no entry")]
    Entry(String),
    /// A named entry has no numeric id.
    #[error("\"{0}\" has no numeric id (GNU tar --xattrs-include='*' and bsdtar write one)")]
    NoId(String),
    /// The same entry twice.
    #[error("an entry stands there twice")]
    Twice,
    /// One of the owner's, the group's and the others' entries is missing.
    #[error("the entries of owner, group and others must all be there")]
    Incomplete,
    /// Named entries need a mask.
    #[error("named entries without a mask")]
    NoMask,
    /// The binary form has another version or an odd size.
    #[error("malformed attribute value")]
    Xattr,
}

/// Whom an entry is for. Ordered as the kernel wants the entries; values are the kernel's `ACL_*` tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Tag {
    /// The owner.
    UserObj = 0x01,
    /// The user with the entry's id.
    User = 0x02,
    /// The file's group.
    GroupObj = 0x04,
    /// The group with the entry's id.
    Group = 0x08,
    /// The most that groups and named users get.
    Mask = 0x10,
    /// Everyone else.
    Other = 0x20,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclEntry {
    /// Whom it is for.
    pub tag: Tag,
    /// Which user or group, for [`Tag::User`] and [`Tag::Group`]; else `ACL_UNDEFINED_ID`.
    pub id: u32,
    /// Read 4, write 2, execute 1.
    pub perm: u16,
}

/// A valid ACL, its entries in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl(Vec<AclEntry>);

const UNDEFINED_ID: u32 = u32::MAX;
const XATTR_VERSION: u32 = 2;

impl Acl {
    /// Checks and sorts entries.
    ///
    /// # Errors
    /// What the kernel would refuse.
    pub fn new(mut entries: Vec<AclEntry>) -> Result<Self, AclError> {
        entries.sort_unstable();
        if entries.windows(2).any(|pair| (pair[0].tag, pair[0].id) == (pair[1].tag, pair[1].id)) {
            return Err(AclError::Twice);
        }
        let has = |tag| entries.iter().any(|e| e.tag == tag);
        if ![Tag::UserObj, Tag::GroupObj, Tag::Other].into_iter().all(has) {
            return Err(AclError::Incomplete);
        }
        if (has(Tag::User) || has(Tag::Group)) && !has(Tag::Mask) {
            return Err(AclError::NoMask);
        }
        Ok(Self(entries))
    }

    /// The entries in the kernel's order.
    #[must_use]
    pub fn entries(&self) -> &[AclEntry] {
        &self.0
    }

    /// Whether it says no more than permission bits do.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.0.len() == 3
    }

    /// The nine permission bits that a file with this access ACL has: the mask stands for the group.
    #[must_use]
    pub fn permissions(&self) -> u16 {
        let perm = |tag| self.0.iter().find(|e| e.tag == tag).map(|e| e.perm);
        let group = perm(Tag::Mask).or_else(|| perm(Tag::GroupObj));
        [perm(Tag::UserObj), group, perm(Tag::Other)].into_iter().fold(0, |bits, p| bits << 3 | p.unwrap_or(0))
    }

    /// The value of `system.posix_acl_access` or `_default`.
    #[must_use]
    pub fn to_xattr(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + 8 * self.0.len());
        out.extend(XATTR_VERSION.to_le_bytes());
        for entry in &self.0 {
            out.extend((entry.tag as u16).to_le_bytes());
            out.extend(entry.perm.to_le_bytes());
            out.extend(entry.id.to_le_bytes());
        }
        out
    }

    /// The text that star, GNU tar and bsdtar understand alike, ids in place of names, an entry a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for AclEntry { tag, id, perm } in &self.0 {
            let (r, w, x) = (perm & 4 != 0, perm & 2 != 0, perm & 1 != 0);
            let perm = [(r, 'r'), (w, 'w'), (x, 'x')].map(|(set, letter)| if set { letter } else { '-' });
            let perm: String = perm.iter().collect();
            out += &match tag {
                Tag::UserObj => format!("user::{perm}\n"),
                Tag::User => format!("user:{id}:{perm}:{id}\n"),
                Tag::GroupObj => format!("group::{perm}\n"),
                Tag::Group => format!("group:{id}:{perm}:{id}\n"),
                Tag::Mask => format!("mask::{perm}\n"),
                Tag::Other => format!("other::{perm}\n"),
            };
        }
        out
    }
}

/// An ACL from the value of `SCHILY.acl.access` or `SCHILY.acl.default`.
///
/// # Errors
/// Malformed entries, or entries that make no ACL.
pub fn parse_text(text: &[u8]) -> Result<Acl, AclError> {
    let mut entries = Vec::new();
    for line in text.split(|&b| b == b'\n') {
        let line = line.split(|&b| b == b'#').next().unwrap_or_default();
        for item in line.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
            entries.push(parse_entry(item)?);
        }
    }
    Acl::new(entries)
}

fn parse_entry(item: &[u8]) -> Result<AclEntry, AclError> {
    let shown = || item.get(..80).unwrap_or(item).escape_ascii().to_string();
    let malformed = || AclError::Entry(shown());
    let mut fields: Vec<&[u8]> = item.splitn(6, |&b| b == b':').map(<[u8]>::trim_ascii).collect();
    if matches!(fields[0], b"default" | b"d") {
        fields.remove(0); // getfacl's way to mark the default ACL
    }
    let [kind, rest @ ..] = &*fields else { return Err(malformed()) };
    let (name, perm, id) = match (*kind, rest) {
        (b"mask" | b"m" | b"other" | b"o", [perm]) => (&b""[..], *perm, None),
        (_, [name, perm]) => (*name, *perm, None),
        (_, [name, perm, id]) => (*name, *perm, Some(*id)),
        _ => return Err(malformed()),
    };
    let tag = match (*kind, name.is_empty() && id.is_none()) {
        (b"user" | b"u", true) => Tag::UserObj,
        (b"user" | b"u", false) => Tag::User,
        (b"group" | b"g", true) => Tag::GroupObj,
        (b"group" | b"g", false) => Tag::Group,
        (b"mask" | b"m", true) => Tag::Mask,
        (b"other" | b"o", true) => Tag::Other,
        _ => return Err(malformed()),
    };
    let id = if matches!(tag, Tag::User | Tag::Group) {
        let text = std::str::from_utf8(id.unwrap_or(name)).map_err(|_| malformed())?;
        let text = if text == "root" { "0" } else { text };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AclError::NoId(shown()));
        }
        text.parse().ok().filter(|&id| id != UNDEFINED_ID).ok_or_else(malformed)?
    } else {
        UNDEFINED_ID
    };
    Ok(AclEntry { tag, id, perm: permissions(perm).ok_or_else(malformed)? })
}

/// `rwx` in any order with any dashes; something must be there.
fn permissions(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0, |perm, letter| {
        let bit = match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => return Some(perm),
            _ => return None,
        };
        (perm & bit == 0).then_some(perm | bit)
    })
}

/// An ACL from the value of a `system.posix_acl_*` attribute.
///
/// # Errors
/// What the kernel would refuse.
pub fn parse_xattr(value: &[u8]) -> Result<Acl, AclError> {
    let (version, entries) = value.split_first_chunk::<4>().ok_or(AclError::Xattr)?;
    if u32::from_le_bytes(*version) != XATTR_VERSION || entries.len() % 8 != 0 {
        return Err(AclError::Xattr);
    }
    let parse = |e: &[u8]| {
        let tag = match u16::from_le_bytes([e[0], e[1]]) {
            0x01 => Tag::UserObj,
            0x02 => Tag::User,
            0x04 => Tag::GroupObj,
            0x08 => Tag::Group,
            0x10 => Tag::Mask,
            0x20 => Tag::Other,
            _ => return Err(AclError::Xattr),
        };
        let perm = u16::from_le_bytes([e[2], e[3]]);
        let id = u32::from_le_bytes([e[4], e[5], e[6], e[7]]);
        let named = matches!(tag, Tag::User | Tag::Group);
        if perm > 7 || (named && id == UNDEFINED_ID) {
            return Err(AclError::Xattr);
        }
        Ok(AclEntry { tag, id: if named { id } else { UNDEFINED_ID }, perm })
    };
    Acl::new(entries.chunks_exact(8).map(parse).collect::<Result<_, _>>()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a failed unwrap is a failed test
mod tests {
    use super::*;

    #[test]
    fn every_writers_text_is_one_acl() {
        let lines = "user::rw-\nuser:1000:rwx:1000\ngroup::r--\ngroup:7:r-x:7\nmask::rwx\nother::---\n";
        let acl = parse_text(lines.as_bytes()).unwrap();
        assert_eq!(acl.to_text(), lines);
        assert_eq!(acl.permissions(), 0o670);
        assert_eq!(parse_xattr(&acl.to_xattr()).unwrap(), acl);
        for text in [
            "user::rw-,user:joe:rwx:1000,group::r--,group:daemon:r-x:7,mask::rwx,other::---",
            "u::rw,u:1000:xwr,g::r,g:7:rx,m:rwx,o:---",
            "other::---\nmask::rwx\ngroup:7:r-x\t#effective:r-x\ngroup::r--\nuser:1000:rwx\nuser::rw-\n\n",
            "default:user::rw-,default:user:1000:rwx,d:group::r--,d:group:7:r-x,default:mask::rwx,default:other::---",
        ] {
            assert_eq!(parse_text(text.as_bytes()).unwrap(), acl, "{text}");
        }
    }

    #[test]
    fn the_kernels_bytes() {
        let acl = parse_text(b"user::rwx,group::r-x,other::---").unwrap();
        let expected = [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255];
        assert_eq!(acl.to_xattr()[..20], expected);
    }

    #[test]
    fn malformed_text_is_refused() {
        let with = |entry: &str| parse_text(format!("user::rw-,group::r--,other::---,mask::rwx,{entry}").as_bytes());
        assert!(with("user:5:r").is_ok());
        assert_eq!(with("user:root:r"), with("user:0:r--"));
        assert_eq!(with("user:joe:r--"), Err(AclError::NoId("user:joe:r--".into())));
        assert_eq!(with("user:joe:r--:"), Err(AclError::NoId("user:joe:r--:".into())));
        assert_eq!(with("user::r--"), Err(AclError::Twice));
        for bad in ["user", "user:5", "user:5:rwz", "user:5:", "user:5:rr", "nobody:5:r", "mask:5:r", "user:5:r:1:2"] {
            assert_eq!(with(bad), Err(AclError::Entry(bad.into())));
        }
        assert_eq!(with("user:4294967295:r"), Err(AclError::Entry("user:4294967295:r".into())));
        assert_eq!(parse_text(b"user::rw-,group::r--"), Err(AclError::Incomplete));
        assert_eq!(parse_text(b"user::rw-,group::r--,other::r,user:5:r"), Err(AclError::NoMask));
    }
}
