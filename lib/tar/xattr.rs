//! Extended attributes and ACLs in PAX records (I2).
//!
//! - `SCHILY.xattr.NAME=value` (star, GNU tar, bsdtar, Go): raw bytes. GNU tar writes `%` and `=` in names as `%25`
//!   and `%3D`; bsdtar encodes them as in the next kind.
//! - `LIBARCHIVE.xattr.NAME=value` (bsdtar): the name is URL-encoded, the value base64 without padding.
//! - `RHT.security.selinux` (GNU tar): the SELinux context without the trailing NUL of the attribute.
//! - `SCHILY.acl.access`, `SCHILY.acl.default` (star, GNU tar, bsdtar): ACLs as text, see [`acl`].
//!
//! bsdtar writes both of the first two; then SCHILY wins. If an older bsdtar wrote a name that contains `=`, its SCHILY
//! record looks like another attribute, which is recognised and dropped. GNU tar's ACL texts have names without
//! numbers; if it also wrote the attribute itself, that counts and the text does not.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::acl::{self, AclTextError};
use super::pax_record::PaxRecord;
use super::xattr_name::{gnu_decode, url_decode};
use crate::meta::{Acl, Shown, Xattr, Xattrs};

/// What is wrong with an extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaxXattrError {
    /// Its name is empty or contains a NUL.
    #[error("no valid name in {0}")]
    Name(String),
    /// Its value is not the base64 it should be.
    #[error("value of {0} is not base64")]
    Base64(String),
    /// More names than the kernel can list.
    #[error("more than {MAX_NAMES} bytes of names")]
    TooMany,
    /// A value that is longer than Linux allows.
    #[error("value of {name} has {len} bytes, {MAX_VALUE} are allowed")]
    TooLong {
        /// The attribute.
        name: String,
        /// The length of its value in bytes.
        len: usize,
    },
    /// An ACL is malformed.
    #[error("{0}: {1}")]
    Acl(&'static str, AclTextError),
}

/// The limit on the total size of a file's attribute names, NULs included: the kernel's `XATTR_LIST_MAX`.
const MAX_NAMES: usize = 65_536;

/// The limit on the size of a value: the kernel's `XATTR_SIZE_MAX`.
const MAX_VALUE: usize = 65_536;

/// The name of a file's access ACL.
pub(super) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// The name of a directory's default ACL.
pub(super) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// The records of a member that become extended attributes, not yet decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct PaxXattrs {
    schily: NamedRecords,
    libarchive: NamedRecords,
    selinux: Option<Box<[u8]>>,
    access: Option<Box<[u8]>>,
    default: Option<Box<[u8]>>,
    nfs4: bool,
    /// The number of records, including those that delete.
    records: usize,
}

/// The records of one of the kinds that have the attribute's name in their keyword.
#[derive(Clone, Debug, Default)]
struct NamedRecords {
    list: Vec<Xattr>,
    /// The length of all names, each with a NUL, in bytes.
    names: usize,
}

impl NamedRecords {
    /// Adds a record. Beyond [`MAX_NAMES`], where decoding fails, none is kept: a header may have a million of them.
    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.names += name.len() + 1;
        if self.names <= MAX_NAMES {
            self.list.push(Xattr { name: name.into(), value: value.into() });
        }
    }

    fn extend(&mut self, later: Self) {
        self.names += later.names;
        self.list.extend(later.list);
    }
}

/// The approximate size of an attribute in memory, in bytes.
pub(super) fn xattr_size(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + 64
}

/// Extended attributes, and the permissions from an access ACL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DecodedXattrs {
    /// The attributes.
    pub xattrs: Xattrs,
    /// The nine permission bits that the access ACL asks for.
    pub permissions: Option<u16>,
    /// There was also an NFSv4 ACL.
    pub has_nfs4_acl: bool,
}

impl DecodedXattrs {
    /// Applies the access ACL to `mode` (E11).
    #[must_use]
    pub(super) fn mode(&self, mode: u16) -> u16 {
        self.permissions.map_or(mode, |permissions| (mode & !0o777) | permissions)
    }
}

impl PaxXattrs {
    /// Adds a record if it is about an extended attribute.
    pub(super) fn apply(&mut self, record: PaxRecord<'_>) {
        let kept = || Some(record.value.into()); // an empty value deletes an earlier one
        self.records += 1;
        match record.keyword {
            b"RHT.security.selinux" => self.selinux = kept(),
            b"SCHILY.acl.access" => self.access = kept(),
            b"SCHILY.acl.default" => self.default = kept(),
            b"SCHILY.acl.ace" => self.nfs4 = !record.value.is_empty(),
            keyword => {
                if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
                    self.schily.push(name, record.value);
                } else if let Some(name) = keyword.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.libarchive.push(name, record.value);
                } else {
                    self.records -= 1;
                }
            }
        }
    }

    /// How many records have been added, including those that delete.
    pub(super) fn count(&self) -> usize {
        self.records
    }

    /// Whether there are no records.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Adds later records.
    pub(super) fn extend(&mut self, later: Self) {
        self.schily.extend(later.schily);
        self.libarchive.extend(later.libarchive);
        self.selinux = later.selinux.or(self.selinux.take());
        self.access = later.access.or(self.access.take());
        self.default = later.default.or(self.default.take());
        self.nfs4 |= later.nfs4;
        self.records += later.records;
    }

    /// The approximate size of the records in bytes.
    #[must_use]
    pub(super) fn size(&self) -> usize {
        let all = self.schily.list.iter().chain(&self.libarchive.list).map(|x| xattr_size(&x.name, &x.value));
        let rest = [&self.selinux, &self.access, &self.default].into_iter().flatten().map(|v| v.len());
        all.chain(rest).sum()
    }

    /// Decodes the attributes.
    ///
    /// # Errors
    /// When a name, a value or the text of an ACL is malformed or too long.
    pub(super) fn decode(self) -> Result<DecodedXattrs, PaxXattrError> {
        if self.schily.names.max(self.libarchive.names) > MAX_NAMES {
            return Err(PaxXattrError::TooMany);
        }
        let mut list = Vec::new(); // of a repeated name, the last one wins
        if let Some(context) = self.selinux.filter(|context| !context.is_empty()) {
            let value = context.iter().copied().chain((context.last() != Some(&0)).then_some(0)).collect();
            list.push(Xattr { name: (*b"security.selinux").into(), value });
        }
        let acls = [("SCHILY.acl.access", ACL_ACCESS, self.access), ("SCHILY.acl.default", ACL_DEFAULT, self.default)];
        for (keyword, name, text) in acls {
            let Some(text) = text.filter(|_| self.schily.list.iter().all(|x| *x.name != *name)) else { continue };
            if let Some(acl) = acl::parse_text(&text).map_err(|e| PaxXattrError::Acl(keyword, e))? {
                list.push(Xattr { name: name.into(), value: acl.to_xattr().into() });
            }
        }
        let twins = Twins::decode(self.libarchive.list)?;
        let renamed = self.schily.list.into_iter().filter_map(|xattr| twins.settle(xattr)).collect::<Vec<_>>();
        list.extend(twins.decoded);
        list.extend(renamed);
        for Xattr { name, value } in &list {
            if name.is_empty() || name.contains(&0) {
                return Err(PaxXattrError::Name(shown(name)));
            }
            if value.len() > MAX_VALUE {
                return Err(PaxXattrError::TooLong { name: shown(name), len: value.len() });
            }
        }
        Ok(DecodedXattrs { has_nfs4_acl: self.nfs4, ..settle_access_acl(Xattrs::new(list)) })
    }
}

/// The attributes in `LIBARCHIVE.xattr.` records, which bsdtar writes in addition to `SCHILY.xattr.` records.
struct Twins {
    decoded: Vec<Xattr>,
    /// Their indexes by name, both decoded and as written.
    by_name: HashMap<Box<[u8]>, usize>,
    /// What bsdtar's raw records look like if the name contains `=`: keyword and value are split at the first one.
    cut: HashSet<Xattr>,
}

impl Twins {
    fn decode(records: Vec<Xattr>) -> Result<Self, PaxXattrError> {
        let mut twins =
            Self { decoded: Vec::with_capacity(records.len()), by_name: HashMap::new(), cut: HashSet::new() };
        for (at, Xattr { name: written, value }) in records.into_iter().enumerate() {
            let value = base64_decode(&value).ok_or_else(|| PaxXattrError::Base64(shown(&written)))?;
            let name: Box<[u8]> = url_decode(&written).into();
            if let Some(equals) = name.iter().position(|b| *b == b'=') {
                let rest = [&name[equals + 1..], b"=", &value].concat();
                twins.cut.insert(Xattr { name: name[..equals].into(), value: rest.into() });
            }
            twins.by_name.entry(written).or_insert(at);
            twins.by_name.entry(name.clone()).or_insert(at);
            twins.decoded.push(Xattr { name, value: value.into() });
        }
        Ok(twins)
    }

    /// The attribute in a `SCHILY.xattr.` record; `None` if it is a wrongly split one.
    fn settle(&self, xattr: Xattr) -> Option<Xattr> {
        if self.cut.contains(&xattr) {
            return None;
        }
        let Xattr { name, value } = xattr;
        // Take the name from its LIBARCHIVE twin, whether that is written alike or this one is raw.
        let name = match self.by_name.get(&name) {
            Some(twin) => self.decoded[*twin].name.clone(),
            None => gnu_decode(&name).into(),
        };
        Some(Xattr { name, value })
    }
}

/// Removes an access ACL that is empty or equivalent to permission bits. A value that is not an ACL is kept, and does not
/// affect the mode.
fn settle_access_acl(xattrs: Xattrs) -> DecodedXattrs {
    let Some(Ok(acl)) = xattrs.get(ACL_ACCESS).map(Acl::parse) else {
        return DecodedXattrs { xattrs, ..DecodedXattrs::default() };
    };
    let permissions = acl.as_ref().map(Acl::permissions);
    if acl.is_some_and(|acl| !acl.is_minimal()) {
        return DecodedXattrs { xattrs, permissions, has_nfs4_acl: false };
    }
    let rest: Vec<_> = xattrs.iter().filter(|x| x.name != ACL_ACCESS).collect();
    DecodedXattrs { xattrs: Xattrs::new(rest), permissions, has_nfs4_acl: false }
}

/// A name for a message, shortened.
fn shown(name: &[u8]) -> String {
    Shown(name.get(..80).unwrap_or(name)).to_string()
}

/// Base64 as libarchive writes it: without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

pub(super) fn base64_encode(bytes: &[u8]) -> Vec<u8> {
    BASE64.encode(bytes).into_bytes()
}

/// Decodes base64 with or without padding; `None` if it is malformed.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|&b| b != b'=').map_or(0, |last| last + 1);
    let (text, padding) = text.split_at(end);
    BASE64.decode(text).ok().filter(|_| padding.len() <= 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn decode(records: &[(&str, &[u8])]) -> Result<Vec<(String, Vec<u8>)>, PaxXattrError> {
        let mut all = PaxXattrs::default();
        for (keyword, value) in records {
            all.apply(PaxRecord { at: 0, keyword: keyword.as_bytes(), value });
        }
        let DecodedXattrs { xattrs, .. } = all.decode()?;
        let text = |x: Xattr<&[u8]>| (String::from_utf8_lossy(x.name).into_owned(), x.value.to_vec());
        Ok(xattrs.iter().map(text).collect())
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
        all.apply(PaxRecord { at: 0, keyword: b"SCHILY.acl.access", value: b"user::rwx,group::r-x,other::---" });
        let decoded = all.decode().unwrap();
        assert_eq!((decoded.mode(0o4600), decoded.xattrs), (0o4750, Xattrs::NONE));
        let mut all = PaxXattrs::default();
        let value = b"user::rwx\nuser:1000:r--\ngroup::---\nmask::rw-\nother::--x\n";
        all.apply(PaxRecord { at: 0, keyword: b"SCHILY.acl.access", value });
        let decoded = all.decode().unwrap();
        assert_eq!((decoded.xattrs.iter().count(), decoded.mode(0o600)), (1, 0o761));
    }

    #[test]
    fn the_attribute_itself_counts_before_its_text() {
        let acl = acl::parse_text(b"user::rwx,user:5:r--,group::r-x,mask::r-x,other::---").unwrap().unwrap();
        let name = "SCHILY.xattr.system.posix_acl_access";
        let all = decode(&[("SCHILY.acl.access", b"user::rwx,user:joe:r--"), (name, &acl.to_xattr())]).unwrap();
        assert_eq!(all, [("system.posix_acl_access".into(), acl.to_xattr())]);
    }

    #[test]
    fn an_access_acl_that_is_none_says_nothing() {
        // As setxattr(2) has it: without entries it is no ACL; with other bytes it is malformed, and stays as it is.
        for empty in [&b""[..], b"\x02\0\0\0"] {
            assert_eq!(decode(&[("SCHILY.xattr.system.posix_acl_access", empty)]).unwrap(), []);
        }
        assert_eq!(decode(&[("SCHILY.acl.access", b"\n# nothing\n")]).unwrap(), []);
        let mut all = PaxXattrs::default();
        all.apply(PaxRecord { at: 0, keyword: b"SCHILY.xattr.system.posix_acl_access", value: b"x" });
        let decoded = all.decode().unwrap();
        assert_eq!((decoded.mode(0o4600), decoded.xattrs.iter().count()), (0o4600, 1));
    }

    #[test]
    fn records_are_looked_up_by_name() {
        // Of both kinds, alike in all but the last byte: each compared with each would be 10^8 comparisons.
        let records = |count: usize| {
            let mut all = PaxXattrs::default();
            for at in 0..count {
                let name = format!("{:05}", at % 3000);
                all.apply(PaxRecord { at: 0, keyword: format!("SCHILY.xattr.u.{name}").as_bytes(), value: b"x" });
                all.apply(PaxRecord {
                    at: 0,
                    keyword: format!("LIBARCHIVE.xattr.u%2E{name}").as_bytes(),
                    value: b"eA",
                });
            }
            all
        };
        assert_eq!(records(6000).decode().unwrap().xattrs.iter().count(), 3000);
        let start = std::time::Instant::now();
        for _ in 0..50 {
            records(6000).decode().unwrap();
        }
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }

    #[test]
    fn nameless_and_undecodable_are_errors() {
        let long = vec![0; MAX_VALUE + 1];
        assert!(decode(&[("SCHILY.xattr.user.a", &long[1..])]).is_ok());
        assert!(matches!(decode(&[("SCHILY.xattr.user.a", &long)]), Err(PaxXattrError::TooLong { .. })));
        assert!(matches!(decode(&[("SCHILY.xattr.", b"x")]), Err(PaxXattrError::Name(_))));
        assert!(matches!(decode(&[("LIBARCHIVE.xattr.a%00", b"Zm9v")]), Err(PaxXattrError::Name(_))));
        assert!(matches!(decode(&[("LIBARCHIVE.xattr.a", b"*")]), Err(PaxXattrError::Base64(_))));
        assert!(matches!(decode(&[("SCHILY.acl.access", b"user::rwx")]), Err(PaxXattrError::Acl(..))));
        let long = "x".repeat(1000);
        let many: Vec<_> = (0..66).map(|i| (format!("SCHILY.xattr.{i}{long}"), &b""[..])).collect();
        let many: Vec<_> = many.iter().map(|(k, v)| (&**k, *v)).collect();
        assert_eq!(decode(&many), Err(PaxXattrError::TooMany));
    }
}
