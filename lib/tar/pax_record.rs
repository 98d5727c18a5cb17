//! The records of PAX extended headers: `length keyword=value\n`, driven by their lengths (I2).

use super::number::{self, NumberError};
use super::sparse::MAX_SEGMENTS;

/// What can be wrong with an extended header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaxError {
    /// A record does not begin with its length and a blank.
    #[error("record without a length")]
    Length,
    /// A record ends beyond the header, or before its own keyword.
    #[error("record of {0} bytes does not fit")]
    Bounds(u64),
    /// A record does not end with a line feed.
    #[error("record without a line feed at its end")]
    LineFeed,
    /// A record has no `=` or nothing before it.
    #[error("record without a keyword")]
    Keyword,
    /// A value is no number, or not one its keyword allows.
    #[error("{keyword} \"{}\" {problem}", value.escape_ascii())]
    Number {
        /// The record's keyword.
        keyword: String,
        /// The record's value, shortened.
        value: Box<[u8]>,
        /// What is wrong with it.
        problem: NumberError,
    },
    /// A sparse map has more segments than `MAX_SEGMENTS`.
    #[error("sparse map of more than {MAX_SEGMENTS} segments")]
    TooMany,
    /// A path has a NUL byte in it.
    #[error("{0} has a NUL byte in it")]
    Nul(String),
    /// Something that changes where data stands, and that this reader does not know.
    #[error("{0} is not supported")]
    Unsupported(String),
}

/// One record. The value may hold anything, line feeds and NULs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PaxRecord<'a> {
    /// Where the record begins in the header's body; bytes.
    pub at: usize,
    /// Its keyword; never empty.
    pub keyword: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// The records of an extended header's body. After the first error, which says where in the body, there are no more.
pub(super) fn records(body: &[u8]) -> impl Iterator<Item = Result<PaxRecord<'_>, (usize, PaxError)>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = body.get(at..)?;
        if rest.iter().all(|&b| b == 0) {
            return None; // the end, or padding that some writers count in
        }
        match record(rest) {
            Ok((len, keyword, value)) => {
                let record = PaxRecord { at, keyword, value };
                at += len;
                Some(Ok(record))
            }
            Err(error) => Some(Err((std::mem::replace(&mut at, usize::MAX), error))),
        }
    })
}

fn record(rest: &[u8]) -> Result<(usize, &[u8], &[u8]), PaxError> {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if rest.get(digits) != Some(&b' ') {
        return Err(PaxError::Length);
    }
    let claimed = number::decimal(&rest[..digits]).map_err(|_| PaxError::Length)?;
    let len = usize::try_from(claimed).map_err(|_| PaxError::Bounds(claimed))?;
    let record = rest.get(digits + 1..len).ok_or(PaxError::Bounds(claimed))?;
    let record = record.strip_suffix(b"\n").ok_or(PaxError::LineFeed)?;
    match record.iter().position(|&b| b == b'=') {
        Some(equals) if equals > 0 => Ok((len, &record[..equals], &record[equals + 1..])),
        _ => Err(PaxError::Keyword),
    }
}
