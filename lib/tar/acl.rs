//! POSIX ACLs in the text form of tar archives.
//!
//! Entries are separated by commas or line feeds, `#` begins a comment: `user::rwx`, `user:NAME:rwx:UID`, `user:UID:rwx`,
//! `mask::r-x`, also `u:`, `g:`, `m:`, `o:`, and Solaris' `mask:r-x` and `other:r-x`. Except for `root`, names mean nothing
//! outside the system they come from: the number counts, and a named entry without one is an error. See star(1), acl(5),
//! libarchive's `archive_entry_acl(3)`.

use crate::meta::{Acl, AclEntry, AclError, AclTag};

/// What is wrong with the text of an ACL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclTextError {
    /// An entry is malformed.
    #[error("\"{0}\" is no entry")]
    Entry(String),
    /// A named entry has no numeric id.
    #[error("\"{0}\" has no numeric id (GNU tar --xattrs-include='*' and bsdtar write one)")]
    NoId(String),
    /// The entries do not make an ACL.
    #[error(transparent)]
    Acl(#[from] AclError),
}

/// The text that star, GNU tar and bsdtar all understand: ids in place of names, one entry per line.
#[must_use]
pub fn to_text(acl: &Acl) -> String {
    let mut out = String::new();
    for AclEntry { tag, id, perm } in acl.entries() {
        let (r, w, x) = (perm & 4 != 0, perm & 2 != 0, perm & 1 != 0);
        let perm = [(r, 'r'), (w, 'w'), (x, 'x')].map(|(set, letter)| if set { letter } else { '-' });
        let perm: String = perm.iter().collect();
        out += &match tag {
            AclTag::UserObj => format!("user::{perm}\n"),
            AclTag::User => format!("user:{id}:{perm}:{id}\n"),
            AclTag::GroupObj => format!("group::{perm}\n"),
            AclTag::Group => format!("group:{id}:{perm}:{id}\n"),
            AclTag::Mask => format!("mask::{perm}\n"),
            AclTag::Other => format!("other::{perm}\n"),
        };
    }
    out
}

/// Parses the value of `SCHILY.acl.access` or `SCHILY.acl.default`; without entries it is not an ACL.
///
/// # Errors
/// Malformed entries, or entries that do not make an ACL.
pub fn parse_text(text: &[u8]) -> Result<Option<Acl>, AclTextError> {
    let mut entries = Vec::new();
    for line in text.split(|&b| b == b'\n') {
        let line = line.split(|&b| b == b'#').next().unwrap_or_default();
        for item in line.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
            entries.push(parse_entry(item)?);
        }
    }
    Ok(Acl::new(entries)?)
}

fn parse_entry(item: &[u8]) -> Result<AclEntry, AclTextError> {
    let shown = || item.get(..80).unwrap_or(item).escape_ascii().to_string();
    let malformed = || AclTextError::Entry(shown());
    let mut fields: Vec<&[u8]> = item.splitn(6, |&b| b == b':').map(<[u8]>::trim_ascii).collect();
    if matches!(fields[0], b"default" | b"d") {
        fields.remove(0); // getfacl's prefix for the default ACL
    }
    let [kind, rest @ ..] = &*fields else { return Err(malformed()) };
    let (name, perm, id) = match (*kind, rest) {
        (b"mask" | b"m" | b"other" | b"o", [perm]) => (&b""[..], *perm, None),
        (_, [name, perm]) => (*name, *perm, None),
        (_, [name, perm, id]) => (*name, *perm, Some(*id)),
        _ => return Err(malformed()),
    };
    let tag = match (*kind, name.is_empty() && id.is_none()) {
        (b"user" | b"u", true) => AclTag::UserObj,
        (b"user" | b"u", false) => AclTag::User,
        (b"group" | b"g", true) => AclTag::GroupObj,
        (b"group" | b"g", false) => AclTag::Group,
        (b"mask" | b"m", true) => AclTag::Mask,
        (b"other" | b"o", true) => AclTag::Other,
        _ => return Err(malformed()),
    };
    let id = if tag.is_named() {
        let text = std::str::from_utf8(id.unwrap_or(name)).map_err(|_| malformed())?;
        let text = if text == "root" { "0" } else { text };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AclTextError::NoId(shown()));
        }
        text.parse().ok().filter(|&id| id != AclEntry::UNDEFINED_ID).ok_or_else(malformed)?
    } else {
        AclEntry::UNDEFINED_ID
    };
    Ok(AclEntry { tag, id, perm: permissions(perm).ok_or_else(malformed)? })
}

/// `rwx` in any order with any dashes, but not empty.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn every_writers_text_is_one_acl() {
        let lines = "user::rw-\nuser:1000:rwx:1000\ngroup::r--\ngroup:7:r-x:7\nmask::rwx\nother::---\n";
        let acl = parse_text(lines.as_bytes()).unwrap().unwrap();
        assert_eq!(to_text(&acl), lines);
        assert_eq!(acl.permissions(), 0o670);
        assert_eq!(Acl::parse(&acl.to_xattr()), Ok(Some(acl.clone())));
        for text in [
            "user::rw-,user:joe:rwx:1000,group::r--,group:daemon:r-x:7,mask::rwx,other::---",
            "u::rw,u:1000:xwr,g::r,g:7:rx,m:rwx,o:---",
            "other::---\nmask::rwx\ngroup:7:r-x\t#effective:r-x\ngroup::r--\nuser:1000:rwx\nuser::rw-\n\n",
            "default:user::rw-,default:user:1000:rwx,d:group::r--,d:group:7:r-x,default:mask::rwx,default:other::---",
        ] {
            assert_eq!(parse_text(text.as_bytes()).unwrap().as_ref(), Some(&acl), "{text}");
        }
    }

    #[test]
    fn text_without_entries_is_no_acl() {
        for text in [&b""[..], b"\n", b"# file: x\n\n", b" , ,"] {
            assert_eq!(parse_text(text), Ok(None), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn malformed_text_is_refused() {
        let with = |entry: &str| parse_text(format!("user::rw-,group::r--,other::---,mask::rwx,{entry}").as_bytes());
        assert!(with("user:5:r").is_ok());
        assert_eq!(with("user:root:r"), with("user:0:r--"));
        assert_eq!(with("user:joe:r--"), Err(AclTextError::NoId("user:joe:r--".into())));
        assert_eq!(with("user:joe:r--:"), Err(AclTextError::NoId("user:joe:r--:".into())));
        assert_eq!(with("user::r--"), Err(AclError::Twice.into()));
        for bad in ["user", "user:5", "user:5:rwz", "user:5:", "user:5:rr", "nobody:5:r", "mask:5:r", "user:5:r:1:2"] {
            assert_eq!(with(bad), Err(AclTextError::Entry(bad.into())));
        }
        assert_eq!(with("user:4294967295:r"), Err(AclTextError::Entry("user:4294967295:r".into())));
        assert_eq!(parse_text(b"user::rw-,group::r--"), Err(AclError::Incomplete.into()));
        assert_eq!(parse_text(b"user::rw-,group::r--,other::r,user:5:r"), Err(AclError::NoMask.into()));
    }
}
