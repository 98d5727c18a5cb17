//! The records of PAX extended headers: `length keyword=value\n`, delimited by their lengths (I2).

use super::number::{self, NumberError};
use super::sparse::MAX_SEGMENTS;

/// What is wrong with an extended header.
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
    /// A value is not a number, or not one that its keyword allows.
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
    /// A path contains a NUL byte.
    #[error("{0} has a NUL byte in it")]
    Nul(String),
    /// A record that changes where data is, and that this reader does not support.
    #[error("{0} is not supported")]
    Unsupported(String),
}

/// A record. The value may contain anything, including line feeds and NULs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PaxRecord<'a> {
    /// Its offset in the header's body, in bytes.
    pub at: usize,
    /// Its keyword; never empty.
    pub keyword: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// The records of an extended header's body. The iterator ends after the first error, which comes with its offset.
pub(super) fn records(body: &[u8]) -> impl Iterator<Item = Result<PaxRecord<'_>, (usize, PaxError)>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = body.get(at..)?;
        if rest.iter().all(|&b| b == 0) {
            return None; // the end, or padding that some writers include
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
