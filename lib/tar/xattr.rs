//! Extended attributes and ACLs as PAX records carry them (I2).
//!
//! - `SCHILY.xattr.NAME=value` (star, GNU tar, bsdtar, Go): raw bytes. GNU tar writes `%` and `=` in names as `%25`
//!   and `%3D`; bsdtar encodes them as in the next.
//! - `LIBARCHIVE.xattr.NAME=value` (bsdtar): the name URL-encoded, the value in base64 without padding.
//! - `RHT.security.selinux` (GNU tar): the SELinux context without the NUL that its attribute ends with.
//! - `SCHILY.acl.access`, `SCHILY.acl.default` (star, GNU tar, bsdtar): ACLs as text, see [`acl`].
//!
//! bsdtar writes both of the first two; then SCHILY wins. Where older ones wrote a name with an `=` in it, the SCHILY
//! record reads as another attribute: that one is recognised and dropped. GNU tar's ACL texts have names without
//! numbers; where it wrote the attribute itself too, that counts and the text does not.

use super::acl::{self, AclTextError};
use super::pax::Record;
use crate::meta::{Acl, Xattr, Xattrs};

/// What can be wrong with an extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XattrError {
    /// It has no name, or a NUL in its name.
    #[error("no valid name in {0}")]
    Name(String),
    /// Its value is not the base64 it should be.
    #[error("value of {0} is not base64")]
    Base64(String),
    /// More names than the kernel can list.
    #[error("more than {MAX_NAMES} bytes of names")]
    TooMany,
    /// An ACL is malformed.
    #[error("{0}: {1}")]
    Acl(&'static str, AclTextError),
}

/// The most bytes that the names of a file's attributes may take, NULs included: the kernel's `XATTR_LIST_MAX`.
const MAX_NAMES: usize = 65_536;

/// The name of a file's access ACL.
pub const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// The name of a directory's default ACL.
pub const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// The records of a member that become extended attributes, as they stand.
#[derive(Clone, Debug, Default)]
pub struct PaxXattrs {
    schily: Vec<Xattr>,
    libarchive: Vec<Xattr>,
    selinux: Option<Box<[u8]>>,
    access: Option<Box<[u8]>>,
    default: Option<Box<[u8]>>,
    nfs4: bool,
}

impl PaxXattrs {
    /// Takes the record in if it is about an extended attribute.
    pub(super) fn apply(&mut self, record: Record<'_>) {
        let kept = || (!record.value.is_empty()).then(|| record.value.into());
        match record.keyword {
            b"RHT.security.selinux" => self.selinux = kept(),
            b"SCHILY.acl.access" => self.access = kept(),
            b"SCHILY.acl.default" => self.default = kept(),
            b"SCHILY.acl.ace" => self.nfs4 = !record.value.is_empty(),
            keyword => {
                let raw = |name: &[u8]| Xattr { name: name.into(), value: record.value.into() };
                if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
                    self.schily.push(raw(name));
                } else if let Some(name) = keyword.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.libarchive.push(raw(name));
                }
            }
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.schily.is_empty()
            && self.libarchive.is_empty()
            && self.selinux.is_none()
            && self.access.is_none()
            && self.default.is_none()
    }

    /// Whether there was an ACL that only NFS knows.
    #[must_use]
    pub fn has_nfs4_acl(&self) -> bool {
        self.nfs4
    }

    /// About how many bytes these records hold.
    #[must_use]
    pub fn size(&self) -> usize {
        let all = self.schily.iter().chain(&self.libarchive).map(|x| x.name.len() + x.value.len() + 64);
        let rest = [&self.selinux, &self.access, &self.default].into_iter().flatten().map(|v| v.len());
        all.chain(rest).sum()
    }

    /// The attributes themselves, and what an access ACL makes of `mode` (E11).
    ///
    /// # Errors
    /// A malformed name, value or ACL.
    pub fn decode(self, mode: u16) -> Result<(Xattrs, u16), XattrError> {
        for list in [&self.schily, &self.libarchive] {
            if list.iter().map(|x| x.name.len() + 1).sum::<usize>() > MAX_NAMES {
                return Err(XattrError::TooMany);
            }
        }
        let mut list = Vec::new(); // of two with one name the later wins
        if let Some(context) = self.selinux {
            let value = context.iter().copied().chain((context.last() != Some(&0)).then_some(0)).collect();
            list.push(Xattr { name: (*b"security.selinux").into(), value });
        }
        let acls = [("SCHILY.acl.access", ACL_ACCESS, self.access), ("SCHILY.acl.default", ACL_DEFAULT, self.default)];
        for (keyword, name, text) in acls {
            let Some(text) = text.filter(|_| self.schily.iter().all(|x| *x.name != *name)) else { continue };
            if let Some(acl) = acl::parse_text(&text).map_err(|e| XattrError::Acl(keyword, e))? {
                list.push(Xattr { name: name.into(), value: acl.to_xattr().into() });
            }
        }
        let mut decoded = Vec::with_capacity(self.libarchive.len());
        for Xattr { name, value } in self.libarchive {
            let value = base64_decode(&value).ok_or_else(|| XattrError::Base64(name.escape_ascii().to_string()))?;
            decoded.push((Xattr { name: url_decode(&name).into(), value: value.into() }, name));
        }
        for Xattr { name, value } in self.schily {
            if decoded.iter().any(|(other, _)| is_cut_at_equals(&name, &value, other)) {
                continue;
            }
            // The name as its LIBARCHIVE twin has it, whether the two are written alike or this one is raw.
            let twin = decoded.iter().find(|(other, written)| *written == name || other.name == name);
            let name = twin.map_or_else(|| gnu_decode(&name).into(), |(other, _)| other.name.clone());
            list.push(Xattr { name, value });
        }
        list.splice(..0, decoded.into_iter().map(|(xattr, _)| xattr));
        if let Some(bad) = list.iter().find(|x| x.name.is_empty() || x.name.contains(&0)) {
            return Err(XattrError::Name(bad.name.escape_ascii().to_string()));
        }
        settle_access_acl(Xattrs::new(list), mode)
    }
}

/// Lets an access ACL set the permission bits; one that says nothing else, or nothing at all, goes.
fn settle_access_acl(xattrs: Xattrs, mode: u16) -> Result<(Xattrs, u16), XattrError> {
    let Some(value) = xattrs.get(ACL_ACCESS) else { return Ok((xattrs, mode)) };
    let acl = Acl::parse(value).map_err(|e| XattrError::Acl("system.posix_acl_access", e.into()))?;
    let mode = acl.as_ref().map_or(mode, |acl| (mode & !0o777) | acl.permissions());
    if acl.is_some_and(|acl| !acl.is_minimal()) {
        return Ok((xattrs, mode));
    }
    let rest = xattrs.as_slice().iter().filter(|x| *x.name != *ACL_ACCESS).cloned().collect();
    Ok((Xattrs::new(rest), mode))
}

/// Whether `name` = `value` is what becomes of bsdtar's raw record for `other`, whose name has an `=`.
fn is_cut_at_equals(name: &[u8], value: &[u8], other: &Xattr) -> bool {
    let Some(rest) = other.name.strip_prefix(name).and_then(|r| r.strip_prefix(b"=")) else { return false };
    value.strip_prefix(rest).and_then(|v| v.strip_prefix(b"=")) == Some(&other.value)
}

/// GNU tar's names: `%3D` is `=`, `%25` is `%`, everything else is itself.
fn gnu_decode(name: &[u8]) -> Vec<u8> {
    percent_decode(name, |byte| matches!(byte, b'=' | b'%'))
}

/// libarchive's names: any `%XX` is a byte, a `%` without two hexadecimal digits is itself.
fn url_decode(name: &[u8]) -> Vec<u8> {
    percent_decode(name, |_| true)
}

fn percent_decode(name: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        let byte = match tail {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        if let Some(byte) = byte.filter(|&b| wanted(b)) {
            out.push(byte);
            rest = &tail[2..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with or without padding; `None` where it is malformed.
#[must_use]
pub fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|&b| b != b'=').map_or(0, |last| last + 1);
    let (text, padding) = text.split_at(end);
    if padding.len() > 2 || text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for quad in text.chunks(4) {
        let mut bits = 0_u32;
        for &c in quad {
            let digit = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(digit);
        }
        bits <<= 6 * (4 - quad.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..quad.len()]);
    }
    Some(out)
}

/// Base64 without padding, as libarchive writes it.
#[must_use]
pub fn base64_encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for triple in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=triple.len()].copy_from_slice(triple);
        let bits = u32::from_be_bytes(padded);
        out.extend((0..=triple.len()).map(|i| BASE64[(bits >> (18 - 6 * i) & 63) as usize]));
    }
    out
}

/// A name for a `LIBARCHIVE.xattr.` keyword.
#[must_use]
pub fn url_encode(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        if matches!(byte, 33..=126) && byte != b'%' && byte != b'=' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// Whether all readers agree on the name in a `SCHILY.xattr.` keyword: no `=`, nothing that GNU tar would decode.
#[must_use]
pub fn is_plain_name(name: &[u8]) -> bool {
    !name.contains(&b'=') && gnu_decode(name) == name
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a failed unwrap is a failed test
mod tests {
    use super::*;

    fn decode(records: &[(&str, &[u8])]) -> Result<Vec<(String, Vec<u8>)>, XattrError> {
        let mut all = PaxXattrs::default();
        for (keyword, value) in records {
            all.apply(Record { at: 0, keyword: keyword.as_bytes(), value });
        }
        let (xattrs, _) = all.decode(0o644)?;
        let text = |x: &Xattr| (String::from_utf8_lossy(&x.name).into_owned(), x.value.to_vec());
        Ok(xattrs.as_slice().iter().map(text).collect())
    }

    #[test]
    fn base64_round_trip_and_refusals() {
        for len in 0..40 {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + 200) & 0xff).map(|i| u8::try_from(i).unwrap()).collect();
            assert_eq!(base64_decode(&base64_encode(&bytes)).unwrap(), bytes);
        }
        assert_eq!(base64_encode(b"foob"), b"Zm9vYg");
        assert_eq!(base64_decode(b"Zm9vYg==").unwrap(), b"foob");
        for bad in [&b"Zm9vY"[..], b"Zm9v!g", b"Zm9vYg===", b"Zm\n9v", b"Z=m9"] {
            assert_eq!(base64_decode(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn schily_wins_and_an_empty_value_stays() {
        let all = decode(&[("SCHILY.xattr.user.a", b"raw\n\0"), ("LIBARCHIVE.xattr.user.a", b"Zm9v")]).unwrap();
        assert_eq!(all, [("user.a".into(), b"raw\n\0".to_vec())]);
        let all = decode(&[("SCHILY.xattr.user.a", b""), ("LIBARCHIVE.xattr.user.%62%zz", b"Zm9v")]).unwrap();
        assert_eq!(all, [("user.a".into(), vec![]), ("user.b%zz".into(), b"foo".to_vec())]);
    }

    #[test]
    fn names_with_an_equals_sign() {
        // GNU tar's way, bsdtar's way, and bsdtar's old way, where the raw record reads as user.a with value "b=foo".
        assert_eq!(decode(&[("SCHILY.xattr.user.a%3Db", b"foo")]).unwrap(), [("user.a=b".into(), b"foo".to_vec())]);
        let both = [("LIBARCHIVE.xattr.user.a%3D%20b", &b"Zm9v"[..]), ("SCHILY.xattr.user.a%3D%20b", b"foo")];
        assert_eq!(decode(&both).unwrap(), [("user.a= b".into(), b"foo".to_vec())]);
        let both = [("LIBARCHIVE.xattr.user.a%3Db", &b"Zm9v"[..]), ("SCHILY.xattr.user.a", b"b=foo")];
        assert_eq!(decode(&both).unwrap(), [("user.a=b".into(), b"foo".to_vec())]);
        let both = [("LIBARCHIVE.xattr.user.a%253Db", &b"Zm9v"[..]), ("SCHILY.xattr.user.a%3Db", b"foo")];
        assert_eq!(decode(&both).unwrap(), [("user.a%3Db".into(), b"foo".to_vec())]);
    }

    #[test]
    fn selinux_gets_its_nul() {
        let all = decode(&[("RHT.security.selinux", b"system_u:object_r:bin_t:s0")]).unwrap();
        assert_eq!(all, [("security.selinux".into(), b"system_u:object_r:bin_t:s0\0".to_vec())]);
    }

    #[test]
    fn acls_set_the_mode() {
        let mut all = PaxXattrs::default();
        all.apply(Record { at: 0, keyword: b"SCHILY.acl.access", value: b"user::rwx,group::r-x,other::---" });
        assert_eq!(all.decode(0o4600).unwrap(), (Xattrs::NONE, 0o4750));
        let mut all = PaxXattrs::default();
        let value = b"user::rwx\nuser:1000:r--\ngroup::---\nmask::rw-\nother::--x\n";
        all.apply(Record { at: 0, keyword: b"SCHILY.acl.access", value });
        let (xattrs, mode) = all.decode(0o600).unwrap();
        assert_eq!((xattrs.as_slice().len(), mode), (1, 0o761));
    }

    #[test]
    fn the_attribute_itself_counts_before_its_text() {
        let acl = acl::parse_text(b"user::rwx,user:5:r--,group::r-x,mask::r-x,other::---").unwrap().unwrap();
        let name = "SCHILY.xattr.system.posix_acl_access";
        let all = decode(&[("SCHILY.acl.access", b"user::rwx,user:joe:r--"), (name, &acl.to_xattr())]).unwrap();
        assert_eq!(all, [("system.posix_acl_access".into(), acl.to_xattr())]);
    }

    #[test]
    fn nameless_and_undecodable_are_errors() {
        assert!(matches!(decode(&[("SCHILY.xattr.", b"x")]), Err(XattrError::Name(_))));
        assert!(matches!(decode(&[("LIBARCHIVE.xattr.a%00", b"Zm9v")]), Err(XattrError::Name(_))));
        assert!(matches!(decode(&[("LIBARCHIVE.xattr.a", b"*")]), Err(XattrError::Base64(_))));
        assert!(matches!(decode(&[("SCHILY.acl.access", b"user::rwx")]), Err(XattrError::Acl(..))));
        assert!(matches!(decode(&[("SCHILY.xattr.system.posix_acl_access", b"x")]), Err(XattrError::Acl(..))));
        let long = "x".repeat(1000);
        let many: Vec<_> = (0..66).map(|i| (format!("SCHILY.xattr.{i}{long}"), &b""[..])).collect();
        let many: Vec<_> = many.iter().map(|(k, v)| (&**k, *v)).collect();
        assert_eq!(decode(&many), Err(XattrError::TooMany));
    }
}
