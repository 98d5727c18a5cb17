//! Maps of files with holes: old GNU and star headers, PAX 0.0, 0.1 and 1.0 (I1).
//!
//! All of them are pairs of offset and length, in ascending order, for the data that follows without gaps. Source:
//! the GNU tar manual, "Storing Sparse Files".

use super::number::{self, NumberError};
use super::{BLOCK, Segment, UNIT};

/// The most segments a map may have: 16 MiB of memory.
pub(super) const MAX_SEGMENTS: usize = 1 << 20;

/// The smallest piece of data that archivers store by itself, in bytes. A smaller one takes far more room in the index, in
/// an image and in the result than in the archive.
const PIECE: u64 = UNIT;
/// How many segments of an archive may be smaller, and how many more for each member: the last one of a file may be.
const SMALL_SEGMENTS: u64 = 4096;
const SMALL_BY_MEMBER: u64 = 4;

/// What is wrong with a sparse map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SparseError {
    /// The file's real size is not given.
    #[error("the file's size with its holes is missing")]
    NoSize,
    /// A version of the format that does not exist.
    #[error("unknown version {0}.{1}")]
    Version(u64, u64),
    /// An offset without its length, or not as many pairs as announced.
    #[error("it has {got} numbers in place of {wanted}")]
    Count {
        /// How many there are.
        got: u64,
        /// How many there should be.
        wanted: u64,
    },
    /// More segments than `MAX_SEGMENTS`.
    #[error("it has more than {MAX_SEGMENTS} segments")]
    TooMany,
    /// More segments than their data can fill, so that the map would take more memory than a real one, or more such maps.
    #[error("it has more segments than their data can fill, {PIECE} bytes each")]
    TooThin,
    /// A number in the map is malformed.
    #[error("\"{0}\" {1}")]
    Number(String, NumberError),
    /// A segment begins before the end of the previous one, or ends beyond the file.
    #[error("segment of {len} bytes at {offset} is out of place")]
    Order {
        /// Its offset in the file.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// The segments do not match the data in the archive.
    #[error("its segments hold {mapped} bytes, the archive {stored}")]
    Stored {
        /// The segments' total length.
        mapped: u64,
        /// The number of data bytes in the archive.
        stored: u64,
    },
    /// The map is longer than the member.
    #[error("it does not end within the member")]
    Unended,
}

/// How many small segments an archive may still have.
#[derive(Clone, Copy, Debug)]
pub(super) struct SmallSegments(u64);

impl Default for SmallSegments {
    fn default() -> Self {
        Self(SMALL_SEGMENTS)
    }
}

impl SmallSegments {
    /// Adds the share of a member.
    pub(super) fn member(&mut self) {
        self.0 = self.0.saturating_add(SMALL_BY_MEMBER);
    }

    /// A complete map counts.
    pub(super) fn spend(&mut self, map: &SparseMap) {
        self.0 = self.0.saturating_sub((map.segments.len() as u64).saturating_sub(map.mapped / PIECE));
    }
}

/// A map under construction: checked for order, without empty segments, with adjacent ones joined.
#[derive(Debug)]
pub(super) struct SparseMap {
    /// How many segments may be small.
    small: SmallSegments,
    segments: Vec<Segment>,
    mapped: u64,
    end: u64,
}

impl SparseMap {
    /// An empty map.
    pub(super) fn new(small: SmallSegments) -> Self {
        Self { small, segments: Vec::new(), mapped: 0, end: 0 }
    }

    /// Adds the next segment.
    ///
    /// # Errors
    /// When it begins before the end of the last one, or is one too many.
    pub(super) fn push(&mut self, offset: u64, len: u64) -> Result<(), SparseError> {
        let out_of_place = SparseError::Order { offset, len };
        let Some(end) = offset.checked_add(len).filter(|_| offset >= self.end) else { return Err(out_of_place) };
        let full = self.segments.len() == MAX_SEGMENTS;
        let thin = self.segments.len() as u64 >= self.small.0.saturating_add(self.mapped / PIECE);
        match self.segments.last_mut() {
            _ if len == 0 => {}
            Some(last) if offset == last.offset + last.len => last.len += len,
            _ if full => return Err(SparseError::TooMany),
            _ if thin => return Err(SparseError::TooThin),
            _ => self.segments.push(Segment { offset, len }),
        }
        self.mapped += len;
        self.end = end;
        Ok(())
    }

    /// The segments of a file of `size` bytes, `stored` of which are in the archive; `None` if it has no hole.
    ///
    /// # Errors
    /// When the map does not match these sizes.
    pub(super) fn finish(self, size: u64, stored: u64) -> Result<Option<Vec<Segment>>, SparseError> {
        if self.end > size {
            let last = self.segments.last().copied().unwrap_or(Segment { offset: self.end, len: 0 });
            return Err(SparseError::Order { offset: last.offset, len: last.len });
        }
        if self.mapped != stored {
            return Err(SparseError::Stored { mapped: self.mapped, stored });
        }
        Ok((self.mapped < size).then_some(self.segments))
    }

    /// Adds the pairs of an old header or of one of its extension blocks: rows of two 12-byte number fields, up to the
    /// first unused one. Returns whether all rows were used, so that more may follow.
    ///
    /// # Errors
    /// A malformed number or segment.
    pub(super) fn push_fields(&mut self, fields: &[u8]) -> Result<bool, SparseError> {
        for pair in fields.chunks_exact(24) {
            let (offset, len) = pair.split_at(12);
            if len[0] == 0 {
                return Ok(false);
            }
            self.push(field(offset)?, field(len)?)?;
        }
        Ok(true)
    }

    /// Adds the numbers of PAX 0.0 or 0.1.
    ///
    /// # Errors
    /// When there are not `announced` pairs, or a segment is out of place.
    pub(super) fn push_numbers(&mut self, numbers: &[u64], announced: Option<u64>) -> Result<(), SparseError> {
        let got = numbers.len() as u64;
        let wanted = announced.map_or(got + got % 2, |n| n.saturating_mul(2));
        if got != wanted {
            return Err(SparseError::Count { got, wanted });
        }
        numbers.chunks_exact(2).try_for_each(|pair| self.push(pair[0], pair[1]))
    }
}

fn field(bytes: &[u8]) -> Result<u64, SparseError> {
    number::unsigned_field(bytes).map_err(|e| SparseError::Number(bytes.escape_ascii().to_string(), e))
}

/// The map of PAX 1.0, in blocks before the data: decimal numbers, each followed by a line feed, first the number of pairs,
/// then the pairs.
#[derive(Debug)]
pub(super) struct TextMap {
    map: SparseMap,
    number: Vec<u8>,
    pairs_left: Option<u64>,
    offset: Option<u64>,
}

impl TextMap {
    /// Nothing has been read.
    pub(super) fn new(small: SmallSegments) -> Self {
        Self { map: SparseMap::new(small), number: Vec::new(), pairs_left: None, offset: None }
    }

    /// Reads the next block of the map; returns the map if it ends there. The rest of the block is padding.
    ///
    /// # Errors
    /// A malformed number or segment.
    pub(super) fn block(&mut self, block: &[u8; BLOCK]) -> Result<Option<SparseMap>, SparseError> {
        for &byte in block {
            if byte != b'\n' {
                self.number.push(byte);
                if self.number.len() > 20 {
                    return Err(self.malformed(NumberError::Malformed));
                }
                continue;
            }
            let number = number::decimal(&self.number).map_err(|e| self.malformed(e))?;
            self.number.clear();
            match (self.pairs_left, self.offset.take()) {
                (None, _) if number > MAX_SEGMENTS as u64 => return Err(SparseError::TooMany),
                (None, _) => self.pairs_left = Some(number),
                (Some(_), None) => self.offset = Some(number),
                (Some(left), Some(offset)) => {
                    self.map.push(offset, number)?;
                    self.pairs_left = Some(left - 1);
                }
            }
            if self.pairs_left == Some(0) && self.offset.is_none() {
                let empty = SparseMap::new(self.map.small);
                return Ok(Some(std::mem::replace(&mut self.map, empty)));
            }
        }
        Ok(None)
    }

    fn malformed(&self, problem: NumberError) -> SparseError {
        SparseError::Number(self.number.escape_ascii().to_string(), problem)
    }
}

/// Widens `segments` to whole blocks except at the end of the file, as GNU tar needs them in an archive (T3), by adding
/// zeros of the holes. Segments that then touch are joined.
#[must_use]
pub(super) fn widen(segments: &[Segment], size: u64) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments.iter().filter(|s| s.len > 0) {
        let start = segment.offset / UNIT * UNIT;
        let end = segment.offset.saturating_add(segment.len).div_ceil(UNIT).saturating_mul(UNIT).min(size);
        match out.last_mut() {
            Some(last) if start <= last.offset + last.len => last.len = last.len.max(end - last.offset),
            _ => out.push(Segment { offset: start, len: end.saturating_sub(start) }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn seg(offset: u64, len: u64) -> Segment {
        Segment { offset, len }
    }

    fn map_of() -> SparseMap {
        SparseMap::new(SmallSegments::default())
    }

    #[test]
    fn a_map_is_checked_and_tidied() {
        let mut map = map_of();
        for (offset, len) in [(0, 0), (512, 512), (1024, 10), (4096, 0), (4096, 1), (9000, 0)] {
            map.push(offset, len).unwrap();
        }
        assert_eq!(map.push(8999, 1), Err(SparseError::Order { offset: 8999, len: 1 }));
        assert_eq!(map.push(u64::MAX, 1), Err(SparseError::Order { offset: u64::MAX, len: 1 }));
        assert_eq!(map.finish(9000, 523), Ok(Some(vec![seg(512, 522), seg(4096, 1)])));
        let filled = |size, stored| {
            let mut map = map_of();
            map.push(0, 10).unwrap();
            map.finish(size, stored)
        };
        assert_eq!(filled(10, 10), Ok(None));
        assert_eq!(filled(11, 10), Ok(Some(vec![seg(0, 10)])));
        assert_eq!(filled(9, 10), Err(SparseError::Order { offset: 0, len: 10 }));
        assert_eq!(filled(11, 11), Err(SparseError::Stored { mapped: 10, stored: 11 }));
    }

    #[test]
    fn a_map_is_no_larger_than_its_data_can_fill() {
        let push = |map: &mut SparseMap, count: u64, len: u64| (0..count).try_for_each(|at| map.push(at * 1024, len));
        assert_eq!(push(&mut map_of(), 100_000, 512), Ok(()));
        assert_eq!(push(&mut map_of(), SMALL_SEGMENTS, 1), Ok(()));
        assert_eq!(push(&mut map_of(), 100_000, 1), Err(SparseError::TooThin));
        assert_eq!(push(&mut map_of(), 100_000, 256), Err(SparseError::TooThin));
    }

    #[test]
    fn small_segments_of_all_members_count() {
        let mut small = SmallSegments::default();
        let mut member = |count: u64, len: u64| {
            small.member();
            let mut map = SparseMap::new(small);
            (0..count).try_for_each(|at| map.push(at * 1024, len))?;
            small.spend(&map);
            map.finish(count * 1024, count * len)
        };
        assert!(member(SMALL_SEGMENTS, 1).is_ok());
        for _ in 0..10_000 {
            assert!(member(SMALL_BY_MEMBER, 1).is_ok());
            assert!(member(10, 512).is_ok());
        }
        assert_eq!(member(100_000, 1), Err(SparseError::TooThin));
    }

    #[test]
    fn the_text_map() {
        let mut block = [0; BLOCK];
        block[..20].copy_from_slice(b"2\n512\n10\n4096\n512\nXY");
        let map = TextMap::new(SmallSegments::default()).block(&block).unwrap().unwrap();
        assert_eq!(map.finish(5000, 522), Ok(Some(vec![seg(512, 10), seg(4096, 512)])));
        for bad in ["x\n", "\n", "1\n-1\n", "123456789012345678901", "1\n5\n99999999999999999999\n"] {
            let mut block = [b'\n'; BLOCK];
            block[..bad.len()].copy_from_slice(bad.as_bytes());
            assert!(TextMap::new(SmallSegments::default()).block(&block).is_err(), "{bad}");
        }
        let mut open = [b'0'; BLOCK];
        open[1] = b'\n';
        assert!(TextMap::new(SmallSegments::default()).block(&open).unwrap().is_some());
    }

    #[test]
    fn widened_segments_are_blocks() {
        assert_eq!(widen(&[seg(10, 5), seg(600, 1), seg(3000, 100)], 3100), [seg(0, 1024), seg(2560, 540)]);
        assert_eq!(widen(&[seg(0, 1), seg(1024, 1)], 1_000_000), [seg(0, 512), seg(1024, 512)]);
        assert_eq!(widen(&[], 10), []);
    }
}
