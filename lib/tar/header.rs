//! Header blocks and their fields.

use tar::Header as Raw;

use super::number::{self, NumberError};
use super::{BLOCK, Problem};

/// A block of a tar stream.
pub(super) type Block = [u8; BLOCK];

/// The dialect of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    V7,
    Ustar,
    Gnu,
    Star,
}

/// A header block with a correct checksum.
pub(super) struct Header {
    raw: Raw,
    pub(super) dialect: Dialect,
}

const USTAR_PREFIX: std::ops::Range<usize> = 345..500;
/// star(5): a shorter prefix, then times, and the magic at the very end.
const STAR_PREFIX: std::ops::Range<usize> = 345..476;
const STAR_ATIME: usize = 476;
const STAR_CTIME: usize = 488;
const STAR_MAGIC: usize = 508;

pub(super) fn is_zero(block: &Block) -> bool {
    block.iter().all(|&b| b == 0)
}

/// The sums of the unsigned and of the signed bytes, with the checksum field counted as blanks.
fn sums(block: &Block) -> (i64, i64) {
    const FIELD: std::ops::Range<usize> = 148..156;
    let mut unsigned: u32 = 8 * u32::from(b' ');
    let mut high: u32 = 0; // bytes that are 256 less as signed chars
    for part in [&block[..FIELD.start], &block[FIELD.end..]] {
        for &byte in part {
            // 512 bytes cannot overflow, and checked arithmetic would prevent vectorisation.
            unsigned = unsigned.wrapping_add(u32::from(byte));
            high = high.wrapping_add(u32::from(byte >> 7));
        }
    }
    (i64::from(unsigned), i64::from(unsigned) - 256 * i64::from(high))
}

/// Checks that `block` is a header: its checksum is that of the unsigned or of the signed bytes (I3).
pub(super) fn verify(block: &Block) -> Result<(), Problem> {
    let stored = number::field(&block[148..156]).ok();
    let (unsigned, signed) = sums(block);
    if stored == Some(unsigned) || stored == Some(signed) {
        return Ok(());
    }
    Err(Problem::Checksum { stored, computed: unsigned })
}

/// Whether a member of an archive can begin with `block`.
#[must_use]
pub fn is_header(block: &Block) -> bool {
    verify(block).is_ok()
}

impl Header {
    pub(super) fn new(block: &Block) -> Result<Self, Problem> {
        verify(block)?;
        let dialect = dialect(block);
        let mut raw = Raw::from_byte_slice(block).clone();
        if matches!(dialect, Dialect::Ustar | Dialect::Star) {
            raw.as_mut_bytes()[263..265].copy_from_slice(b"00"); // any version: all of them have these fields
        }
        Ok(Self { raw, dialect })
    }

    pub(super) fn flag(&self) -> u8 {
        self.raw.as_old().linkflag[0]
    }

    /// The name as stored, joined with the prefix if there is one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_nul(&self.raw.as_old().name);
        let prefix: &[u8] = match (self.dialect, self.raw.as_ustar()) {
            (Dialect::Ustar, Some(ustar)) => until_nul(&ustar.prefix),
            (Dialect::Star, _) => until_nul(&self.raw.as_bytes()[STAR_PREFIX]),
            (Dialect::Gnu, _) => self.misplaced_prefix().unwrap_or_default(),
            _ => b"",
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    /// A prefix in place of the times of a GNU header. Go before 1.8 wrote such headers, so old image layers have them.
    /// As in today's Go, text is taken for a prefix if the times are not numbers.
    fn misplaced_prefix(&self) -> Option<&[u8]> {
        let gnu = self.raw.as_gnu().filter(|_| self.flag() != b'S')?;
        let is_text = |time: &[u8]| time[0] != 0 && !time.trim_ascii().is_empty() && number::field(time).is_err();
        if !is_text(&gnu.atime) && !is_text(&gnu.ctime) {
            return None;
        }
        Some(until_nul(&self.raw.as_bytes()[USTAR_PREFIX])).filter(|prefix| prefix.is_ascii())
    }

    pub(super) fn link_name(&self) -> &[u8] {
        until_nul(&self.raw.as_old().linkname)
    }

    /// The low 12 bits of the mode field (F10).
    pub(super) fn mode(&self) -> Result<u16, Problem> {
        let field = &self.raw.as_old().mode;
        let mode = unsigned("mode", field)?;
        u16::try_from(mode & 0o7777).map_err(|_| malformed("mode", field, NumberError::Range))
    }

    pub(super) fn uid(&self) -> Result<u32, Problem> {
        small("uid", &self.raw.as_old().uid)
    }

    pub(super) fn gid(&self) -> Result<u32, Problem> {
        small("gid", &self.raw.as_old().gid)
    }

    pub(super) fn size(&self) -> Result<u64, Problem> {
        unsigned("size", &self.raw.as_old().size)
    }

    /// Seconds since the epoch, possibly negative; out-of-range values are clamped.
    pub(super) fn mtime(&self) -> Result<i64, Problem> {
        let field = &self.raw.as_old().mtime;
        match number::field(field) {
            Err(NumberError::Range) if field[0] & 0xc0 == 0xc0 => Ok(i64::MIN),
            Err(NumberError::Range) => Ok(i64::MAX),
            seconds => seconds.map_err(|e| malformed("mtime", field, e)),
        }
    }

    /// Major and minor number; v7 headers have none.
    pub(super) fn device(&self) -> Result<(u32, u32), Problem> {
        let (major, minor) = match (self.raw.as_ustar(), self.raw.as_gnu()) {
            (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
            (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
            _ => return Err(Problem::NoDevice),
        };
        Ok((small("device major", major)?, small("device minor", minor)?))
    }

    /// The sparse fields of an old header; `None` in dialects without.
    pub(super) fn sparse(&self) -> Option<SparseHeader<'_>> {
        let block = self.raw.as_bytes();
        match self.dialect {
            Dialect::Gnu => Some(SparseHeader { map: &block[386..482], extended: block[482], size: &block[483..495] }),
            Dialect::Star => Some(SparseHeader { map: &block[356..452], extended: block[355], size: &block[452..464] }),
            Dialect::V7 | Dialect::Ustar => None,
        }
    }
}

/// The part of a header block that describes a sparse file.
pub(super) struct SparseHeader<'a> {
    /// Four pairs of number fields: offset and length.
    pub(super) map: &'a [u8],
    /// If not 0, a block with more of the map follows.
    pub(super) extended: u8,
    /// The file's size, holes included; a number field.
    pub(super) size: &'a [u8],
}

impl SparseHeader<'_> {
    pub(super) fn real_size(&self) -> Result<u64, Problem> {
        unsigned("real size", self.size)
    }
}

fn dialect(block: &Block) -> Dialect {
    let star = || {
        // The second alternative is GNU tar's test for star headers without the magic.
        let time = |at: usize| matches!(block[at], b'0'..=b'7') && block[at + 11] == b' ';
        block[STAR_MAGIC..] == *b"tar\0" || (block[475] == 0 && time(STAR_ATIME) && time(STAR_CTIME))
    };
    match &block[257..265] {
        b"ustar  \0" => Dialect::Gnu,
        [b'u', b's', b't', b'a', b'r', 0, ..] if star() => Dialect::Star,
        [b'u', b's', b't', b'a', b'r', 0, ..] => Dialect::Ustar,
        _ => Dialect::V7,
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

pub(super) fn malformed(field: &'static str, text: &[u8], problem: NumberError) -> Problem {
    Problem::Field { field, text: text.into(), problem }
}

pub(super) fn unsigned(name: &'static str, field: &[u8]) -> Result<u64, Problem> {
    number::unsigned_field(field).map_err(|e| malformed(name, field, e))
}

fn small(name: &'static str, field: &[u8]) -> Result<u32, Problem> {
    u32::try_from(unsigned(name, field)?).map_err(|_| malformed(name, field, NumberError::Range))
}
