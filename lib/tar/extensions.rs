//! What stands before a member's own header and says more about it: `L`, `K` and `x` members (I1, I2).

use super::pax::{self, Attributes};
use super::{Error, MAX_NAME, Part, Problem};

/// What the headers before a member's own said about it.
#[derive(Default)]
pub(super) struct Extensions {
    /// Where the first of them stands.
    pub(super) start: Option<u64>,
    /// `L`: the member's name.
    pub(super) name: Option<Vec<u8>>,
    /// `K`: its link target.
    pub(super) link: Option<Vec<u8>>,
    /// Bodies of `x` members and where they stand.
    pub(super) pax: Vec<(u64, Vec<u8>)>,
}

impl Extensions {
    /// What the PAX headers say in addition to `globals`.
    pub(super) fn attributes(&self, globals: Option<&Attributes>, header_name: &[u8]) -> Result<Attributes, Error> {
        let mut attributes = globals.cloned().unwrap_or_default();
        for (body_at, body) in &self.pax {
            let applied = apply(&mut attributes, body, *body_at);
            applied.map_err(|e| e.of(self.pax_name().or(self.name.as_deref()).unwrap_or(header_name)))?;
        }
        Ok(attributes)
    }

    /// The member's name for an error in its PAX headers, as far as they can be read.
    fn pax_name(&self) -> Option<&[u8]> {
        let named = |keyword: &[u8]| {
            let records = self.pax.iter().flat_map(|(_, body)| pax::records(body)).flatten();
            records.filter(|r| r.keyword == keyword).last().map(|r| r.value)
        };
        named(b"GNU.sparse.name").or_else(|| named(b"path")).filter(|name| !name.is_empty())
    }
}

/// Adds the records of a PAX header's body, which stands at `body_at` in the stream.
pub(super) fn apply(attributes: &mut Attributes, body: &[u8], body_at: u64) -> Result<(), Error> {
    attributes.sparse.begin();
    for record in pax::records(body) {
        let result = record.and_then(|record| attributes.apply(record).map_err(|e| (record.at, e)));
        result.map_err(|(at, e)| Error::new(None, body_at + at as u64, e))?;
    }
    Ok(())
}

/// The name in the body of an `L` or `K` member: what stands before its NUL.
pub(super) fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(nul) = name.iter().position(|&b| b == 0) {
        name.truncate(nul);
    }
    name
}

/// Refuses names beyond what `L` and `K` members may have.
pub(super) fn check_length(name: &[u8]) -> Result<(), Problem> {
    let len = name.len() as u64;
    if len > MAX_NAME {
        return Err(Problem::TooLong { what: Part::LongName, len, limit: MAX_NAME });
    }
    Ok(())
}
