//! Interprets the records of PAX extended headers (I2).

use super::number::{self, NumberError};
use super::pax_record::{PaxError, PaxRecord};
use super::sparse::MAX_SEGMENTS;
use super::xattr::PaxXattrs;
use crate::meta::Timestamp;

/// The attributes in extended headers. `None` means that the header block counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    /// `path`
    pub path: Option<Vec<u8>>,
    /// `linkpath`
    pub link_path: Option<Vec<u8>>,
    /// `size`: bytes stored
    pub size: Option<u64>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
    /// `mtime`
    pub mtime: Option<Timestamp>,
    /// There is an `mtime`, but it is not a number (`nan`): the header block's counts.
    pub has_odd_mtime: bool,
    /// `SCHILY.devmajor`, or `SUN.devmajor` as Solaris calls it
    pub major: Option<u32>,
    /// `SCHILY.devminor`, or `SUN.devminor`
    pub minor: Option<u32>,
    /// `SCHILY.realsize`: size of an old sparse file, holes included
    pub real_size: Option<u64>,
    /// `GNU.sparse.*`
    pub sparse: PaxSparse,
    /// All records that become extended attributes.
    pub xattrs: PaxXattrs,
}

/// `GNU.sparse.*` records: formats 0.0, 0.1 and 1.0.
#[derive(Clone, Debug, Default)]
pub(super) struct PaxSparse {
    /// `GNU.sparse.name`: the member's name, with precedence over `path`
    pub name: Option<Vec<u8>>,
    /// `GNU.sparse.major`
    pub major: Option<u64>,
    /// `GNU.sparse.minor`
    pub minor: Option<u64>,
    /// `GNU.sparse.realsize`, or `GNU.sparse.size` as 0.0 and 0.1 call it
    pub real_size: Option<u64>,
    /// `GNU.sparse.numblocks`: segments in the map
    pub segments: Option<u64>,
    /// 0.0's `GNU.sparse.offset` and `GNU.sparse.numbytes`, in order, or 0.1's `GNU.sparse.map`
    pub map: Vec<u64>,
    /// No pair of the current header has been seen yet.
    fresh: bool,
}

impl Attributes {
    /// Their approximate size in bytes.
    #[must_use]
    pub(super) fn size(&self) -> usize {
        self.size_without_xattrs() + self.xattrs.size()
    }

    /// Their approximate size in bytes, without extended attributes.
    #[must_use]
    pub(super) fn size_without_xattrs(&self) -> usize {
        let names = [&self.path, &self.link_path, &self.sparse.name].into_iter().flatten().map(Vec::len);
        names.sum::<usize>() + self.sparse.map.len() * 8
    }

    /// Adds a record; of a repeated keyword, the last one counts. Unknown keywords are ignored.
    ///
    /// # Errors
    /// A value that its keyword does not allow.
    pub(super) fn apply(&mut self, record: PaxRecord<'_>) -> Result<(), PaxError> {
        match record.keyword {
            b"path" => self.path = name(record)?,
            b"linkpath" => self.link_path = name(record)?,
            b"size" => self.size = decimal(record)?,
            b"uid" => self.uid = id(record)?,
            b"gid" => self.gid = id(record)?,
            b"mtime" => {
                // Python writes a missing time like this, and GNU tar and bsdtar accept the member.
                let text = record.value.strip_prefix(b"-").unwrap_or(record.value);
                self.has_odd_mtime = text.eq_ignore_ascii_case(b"nan");
                self.mtime = if self.has_odd_mtime { None } else { value(record, number::timestamp)? };
            }
            b"SCHILY.devmajor" | b"SUN.devmajor" => self.major = id(record)?,
            b"SCHILY.devminor" | b"SUN.devminor" => self.minor = id(record)?,
            b"SCHILY.realsize" => self.real_size = decimal(record)?,
            // These change where the data is, or say that it is in another volume.
            b"SUN.holesdata" | b"GNU.volume.filename" | b"GNU.volume.size" | b"GNU.volume.offset" => {
                return Err(PaxError::Unsupported(text(record.keyword)));
            }
            keyword => {
                if let Some(rest) = keyword.strip_prefix(b"GNU.sparse.") {
                    self.sparse.apply(rest, record)?;
                } else {
                    self.xattrs.apply(record);
                }
            }
        }
        Ok(())
    }

    /// The member's name, if given: `GNU.sparse.name` takes precedence over `path`, which is a stand-in then.
    #[must_use]
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.sparse.name.as_deref().or(self.path.as_deref())
    }
}

impl PaxSparse {
    /// Begins a new header: the pairs of 0.0 only add up within one header.
    pub(super) fn begin(&mut self) {
        self.fresh = true;
    }

    fn check_len(&self) -> Result<(), PaxError> {
        if self.map.len() > 2 * MAX_SEGMENTS {
            return Err(PaxError::TooMany);
        }
        Ok(())
    }

    fn apply(&mut self, keyword: &[u8], record: PaxRecord<'_>) -> Result<(), PaxError> {
        match keyword {
            b"name" => self.name = name(record)?,
            b"major" => self.major = decimal(record)?,
            b"minor" => self.minor = decimal(record)?,
            b"size" | b"realsize" => self.real_size = decimal(record)?,
            b"numblocks" => self.segments = decimal(record)?,
            b"offset" | b"numbytes" => {
                if std::mem::take(&mut self.fresh) {
                    self.map.clear();
                }
                let second = keyword == b"numbytes";
                if (self.map.len() % 2 == 1) != second {
                    return Err(number_error(record, NumberError::Malformed)); // out of turn
                }
                self.map.extend(decimal(record)?);
                return self.check_len();
            }
            b"map" => {
                self.map.clear();
                for text in record.value.split(|&b| b == b',').filter(|_| !record.value.is_empty()) {
                    self.map.push(number::decimal(text).map_err(|e| number_error(record, e))?);
                    self.check_len()?;
                }
            }
            _ => return Err(PaxError::Unsupported(text(record.keyword))),
        }
        Ok(())
    }
}

fn value<T>(record: PaxRecord<'_>, parse: impl Fn(&[u8]) -> Result<T, NumberError>) -> Result<Option<T>, PaxError> {
    if record.value.is_empty() {
        return Ok(None);
    }
    parse(record.value).map(Some).map_err(|problem| number_error(record, problem))
}

fn decimal(record: PaxRecord<'_>) -> Result<Option<u64>, PaxError> {
    value(record, number::decimal)
}

/// A 32-bit number; an id of 2^32 and more is out of range (E10).
fn id(record: PaxRecord<'_>) -> Result<Option<u32>, PaxError> {
    value(record, |text| u32::try_from(number::decimal(text)?).map_err(|_| NumberError::Range))
}

fn name(record: PaxRecord<'_>) -> Result<Option<Vec<u8>>, PaxError> {
    if record.value.contains(&0) {
        return Err(PaxError::Nul(text(record.keyword)));
    }
    Ok((!record.value.is_empty()).then(|| record.value.to_vec()))
}

fn number_error(record: PaxRecord<'_>, problem: NumberError) -> PaxError {
    let shown = record.value.get(..40).unwrap_or(record.value);
    PaxError::Number { keyword: text(record.keyword), value: shown.into(), problem }
}

/// A keyword for a message, shortened.
fn text(keyword: &[u8]) -> String {
    keyword.get(..60).unwrap_or(keyword).escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::super::pax_record::records;
    use super::*;

    fn attributes(body: &[u8]) -> Result<Attributes, (usize, PaxError)> {
        let mut attributes = Attributes::default();
        for record in records(body) {
            let record = record?;
            attributes.apply(record).map_err(|e| (record.at, e))?;
        }
        Ok(attributes)
    }

    #[test]
    fn a_value_may_hold_anything() {
        let body = b"19 SCHILY.x=a\n\0=b\xff\n10 path=a\n";
        let all: Vec<_> = records(body).map(Result::unwrap).collect();
        assert_eq!(all[0].value, b"a\n\0=b\xff");
        assert_eq!((all[1].at, all[1].keyword, all[1].value), (19, &b"path"[..], &b"a"[..]));
    }

    #[test]
    fn the_last_duplicate_wins_and_an_empty_value_deletes() {
        let a = attributes(b"10 path=a\n10 path=b\n9 uid=12\n7 uid=\n").unwrap();
        assert_eq!((a.path.as_deref(), a.uid), (Some(&b"b"[..]), None));
    }

    #[test]
    fn malformed_records_are_errors_with_their_place() {
        for (body, at, error) in [
            (&b"10 path=a\nx"[..], 10, PaxError::Length),
            (b"10path=a\n", 0, PaxError::Length),
            (b" 10 path=a\n", 0, PaxError::Length),
            (b"99999999999999999999 path=a\n", 0, PaxError::Length),
            (b"8589934592 path=a\n", 0, PaxError::Bounds(8_589_934_592)),
            (b"11 path=a\n", 0, PaxError::Bounds(11)),
            (b"1 path=a\n", 0, PaxError::Bounds(1)),
            (b"0 path=a\n", 0, PaxError::Bounds(0)),
            (b"8 path=a\n", 0, PaxError::LineFeed),
            (b"3 \n", 0, PaxError::Keyword),
            (b"5 =a\n", 0, PaxError::Keyword),
            (b"7 path\n", 0, PaxError::Keyword),
            (b"12 path=a\0b\n", 0, PaxError::Nul("path".into())),
        ] {
            assert_eq!(attributes(body).unwrap_err(), (at, error), "{}", body.escape_ascii());
        }
        for body in [&b"9 uid=-1\n"[..], b"18 gid=4294967296\n", b"12 size=0x1\n", b"12 mtime=1e\n"] {
            let (_, error) = attributes(body).unwrap_err();
            assert!(matches!(error, PaxError::Number { .. }), "{error}");
        }
        assert!(attributes(b"10 path=a\n\0\0\0").is_ok());
    }

    #[test]
    fn sparse_maps_of_both_old_kinds() {
        let pairs = b"24 GNU.sparse.offset=10\n25 GNU.sparse.numbytes=5\n24 GNU.sparse.offset=20\n";
        assert_eq!(attributes(pairs).unwrap().sparse.map, [10, 5, 20]);
        assert_eq!(attributes(b"26 GNU.sparse.map=1,2,3,4\n").unwrap().sparse.map, [1, 2, 3, 4]);
        assert!(attributes(b"25 GNU.sparse.numbytes=5\n").is_err());
    }
}
