//! The extended headers before a member's own: `L`, `K` and `x` members (I1, I2).

use super::limits::{MAX_GLOBAL_NAMES, MAX_GLOBALS, MAX_NAME};
use super::pax::Attributes;
use super::pax_record::records;
use super::xattr::{DecodedXattrs, PaxXattrs, xattr_size};
use super::{Error, Part, Problem};
use crate::meta::SharedXattrs;

/// What the extended headers before a member say about it.
#[derive(Default)]
pub(super) struct Extensions {
    /// The offset of the first of them.
    pub(super) start: Option<u64>,
    /// `L`: the member's name.
    pub(super) name: Option<Vec<u8>>,
    /// `K`: its link target.
    pub(super) link: Option<Vec<u8>>,
    /// The offset and body of the last `x` member, which alone counts, as in GNU tar and bsdtar.
    pub(super) pax: Option<(u64, Vec<u8>)>,
}

/// What `g` members say about all members that follow.
pub(super) struct Globals {
    /// Everything but extended attributes.
    attributes: Attributes,
    xattrs: PaxXattrs,
    /// The attributes that members without their own share.
    decoded: DecodedXattrs,
    /// Their approximate size in bytes. Where records repeat a name, it is far less than theirs.
    decoded_size: u64,
    /// How many bytes may still be repeated: names, and the attributes of members that have some of their own.
    repeatable: u64,
    /// How many bytes of attributes members may still share. They are in memory once, but examined and written for each.
    shareable: u64,
}

/// How many bytes of global headers may be repeated, and how many more for each member.
const REPEATED: u64 = 16 << 20;
const REPEATED_BY_MEMBER: u64 = 256;
/// Likewise, of attributes that are shared.
const SHARED: u64 = 16 << 20;
const SHARED_BY_MEMBER: u64 = 8 << 10;

impl Default for Globals {
    fn default() -> Self {
        Self {
            attributes: Attributes::default(),
            xattrs: PaxXattrs::default(),
            decoded: DecodedXattrs::default(),
            decoded_size: 0,
            repeatable: REPEATED,
            shareable: SHARED,
        }
    }
}

impl Globals {
    /// Adds the body of a `g` member, which is at offset `body_at`.
    pub(super) fn apply(&mut self, body: &[u8], body_at: u64) -> Result<(), Error> {
        let mut all = std::mem::take(&mut self.attributes);
        all.xattrs = std::mem::take(&mut self.xattrs);
        let before = all.xattrs.count();
        apply(&mut all, body, body_at)?;
        let fail = |problem: Problem| Error::new(None, body_at, problem);
        // Every member gets a copy of everything but extended attributes, so names are limited more strictly.
        for (len, limit) in [(all.size(), MAX_GLOBALS), (all.size_without_xattrs(), MAX_GLOBAL_NAMES)] {
            if len > limit {
                return Err(fail(Problem::TooLong { what: Part::Globals, len: len as u64, limit: limit as u64 }));
            }
        }
        self.xattrs = std::mem::take(&mut all.xattrs);
        self.attributes = all;
        if self.xattrs.count() > before {
            // All of them are decoded again, as if they were one more member's.
            self.shareable =
                self.shareable.checked_sub(self.xattrs.size() as u64).ok_or_else(|| fail(Problem::RepeatedGlobals))?;
            self.decoded = self.xattrs.clone().decode().map_err(|e| fail(e.into()))?;
            self.decoded_size = self.decoded.xattrs.iter().map(|x| xattr_size(x.name, x.value) as u64).sum();
        }
        Ok(())
    }

    /// Counts what a member takes, perhaps with attributes of its own; `None` if that is too much.
    fn member(&mut self, has_own: bool) -> Option<()> {
        let (names, xattrs) = (self.attributes.size_without_xattrs() as u64, self.xattrs.size() as u64);
        let (repeated, shared) = if has_own { (names + xattrs, 0) } else { (names, self.decoded_size) };
        self.repeatable = self.repeatable.saturating_add(REPEATED_BY_MEMBER).checked_sub(repeated)?;
        self.shareable = self.shareable.saturating_add(SHARED_BY_MEMBER).checked_sub(shared)?;
        Some(())
    }
}

impl Extensions {
    /// The attributes from PAX headers: `globals`, and on top of them the `x` member's.
    pub(super) fn attributes(
        &self,
        globals: Option<&mut Globals>,
        shared: &mut SharedXattrs,
        header_name: &[u8],
        header_at: u64,
    ) -> Result<(Attributes, DecodedXattrs), Error> {
        let mut attributes = globals.as_ref().map_or_else(Attributes::default, |globals| globals.attributes.clone());
        if let Some((body_at, body)) = &self.pax {
            let applied = apply(&mut attributes, body, *body_at);
            applied.map_err(|e| e.of(self.pax_name().or(self.name.as_deref()).unwrap_or(header_name)))?;
        }
        let own = std::mem::take(&mut attributes.xattrs);
        let name = || attributes.name().or(self.name.as_deref()).unwrap_or(header_name);
        let fail = |problem: Problem| Error::new(Some(name()), header_at, problem);
        let mut decoded = match globals {
            None if own.is_empty() => return Ok((attributes, DecodedXattrs::default())),
            None => own.decode().map_err(|e| fail(e.into()))?,
            Some(globals) => {
                let exceeded = || fail(Problem::RepeatedGlobals);
                globals.member(!own.is_empty()).ok_or_else(exceeded)?;
                if own.is_empty() {
                    let decoded = globals.decoded.clone();
                    return Ok((attributes, decoded));
                }
                let mut all = globals.xattrs.clone();
                all.extend(own);
                all.decode().map_err(|e| fail(e.into()))?
            }
        };
        decoded.xattrs = shared.share(decoded.xattrs);
        Ok((attributes, decoded))
    }

    /// The member's name for an error in its PAX header, as far as the header can be read.
    fn pax_name(&self) -> Option<&[u8]> {
        let named = |keyword: &[u8]| {
            let all = self.pax.iter().flat_map(|(_, body)| records(body)).flatten();
            all.filter(|r| r.keyword == keyword).last().map(|r| r.value)
        };
        named(b"GNU.sparse.name").or_else(|| named(b"path")).filter(|name| !name.is_empty())
    }
}

/// Adds the records of a PAX header's body, which is at offset `body_at`.
pub(super) fn apply(attributes: &mut Attributes, body: &[u8], body_at: u64) -> Result<(), Error> {
    attributes.sparse.begin();
    for record in records(body) {
        let result = record.and_then(|record| attributes.apply(record).map_err(|e| (record.at, e)));
        result.map_err(|(at, e)| Error::new(None, body_at + at as u64, e))?;
    }
    Ok(())
}

/// The name in the body of an `L` or `K` member: everything before the first NUL.
pub(super) fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(nul) = name.iter().position(|&b| b == 0) {
        name.truncate(nul);
    }
    name
}

/// Refuses names longer than `L` and `K` members may hold.
pub(super) fn check_length(name: &[u8]) -> Result<(), Problem> {
    let len = name.len() as u64;
    if len > MAX_NAME {
        return Err(Problem::TooLong { what: Part::LongName, len, limit: MAX_NAME });
    }
    Ok(())
}
