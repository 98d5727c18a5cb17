use std::io::{self, BufRead, Read};

use super::header::{self, Block, Dialect, Header, is_zero};
use super::pax::{self, Attributes};
use super::sparse::{Map, SparseError, TextMap};
use super::stream::Stream;
use super::{BLOCK, End, Error, Member, MemberKind, Part, Problem, Segment, Skipped, Warning};
use crate::meta::{Device, Metadata, Timestamp};

/// The longest name or link target that an `L` or `K` member may hold, and a PAX record in effect: 1 MiB.
pub const MAX_NAME: u64 = 1 << 20;
/// The most that the PAX headers of one member may hold together: 16 MiB.
pub const MAX_PAX: u64 = 1 << 24;
/// The most that may be in effect from `g` members: 64 KiB, for every member may take a copy.
pub const MAX_GLOBALS: usize = 1 << 16;

/// Reads a tar stream of any dialect, member by member (I1 to I4).
///
/// ```
/// use oci2ext4::tar::{Reader, End};
/// let mut reader = Reader::new(&[0; 1024][..]);
/// while let Some(member) = reader.next_member()? {
///     std::io::copy(&mut reader.data(), &mut std::io::sink())?;
///     println!("{} of {} bytes", member.path.escape_ascii(), member.size);
/// }
/// assert_eq!(reader.end(), Some(End::Marker));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<R> {
    stream: Stream<R>,
    /// Of the current member: its name, for errors in its data.
    name: Vec<u8>,
    /// Of the current member: data not yet read.
    left: u64,
    /// Of the current member: padding after its data.
    padding: u64,
    /// The current member is a hard link that may have a body of this many bytes, padded.
    link_body: u64,
    /// What `g` members said.
    globals: Option<Box<Attributes>>,
    warnings: Vec<Warning>,
    warned: Vec<Skipped>,
    end: Option<End>,
    failed: bool,
}

/// What the headers before a member's own said about it.
#[derive(Default)]
struct Extensions {
    /// Where the first of them stands.
    start: Option<u64>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// Bodies of `x` members and where they stand.
    pax: Vec<(u64, Vec<u8>)>,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the beginning of a tar stream, which is plain by now.
    pub fn new(input: R) -> Self {
        Self {
            stream: Stream { input, offset: 0 },
            name: Vec::new(),
            left: 0,
            padding: 0,
            link_body: 0,
            globals: None,
            warnings: Vec::new(),
            warned: Vec::new(),
            end: None,
            failed: false,
        }
    }

    /// Skips what is left of the current member and reads the next one's headers; `None` at the end of the archive.
    ///
    /// # Errors
    /// The stream cannot be read, is cut or malformed. After an error there is nothing more: `None`, and
    /// [`Reader::end`] stays `None`.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        if self.end.is_some() || self.failed {
            return Ok(None);
        }
        let result = self.advance();
        self.failed = result.is_err();
        result
    }

    /// The data of the current member, holes left out; nothing for all but files.
    pub fn data(&mut self) -> Data<'_, R> {
        Data { reader: self }
    }

    /// How the stream ended, once [`Reader::next_member`] has returned `None`.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// How far the stream has been read; bytes.
    pub fn offset(&self) -> u64 {
        self.stream.offset
    }

    /// What was skipped since the last call.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// The stream itself, for what follows the end marker (S3: read it to its end).
    pub fn into_inner(self) -> R {
        self.stream.input
    }

    fn advance(&mut self) -> Result<Option<Member>, Error> {
        self.finish_data()?;
        let mut extensions = Extensions::default();
        loop {
            let Some((at, block)) = self.next_header_block()? else {
                if extensions.start.is_some() {
                    return Err(Error::new(None, self.stream.offset, Problem::Cut(Part::Extension)));
                }
                return Ok(None);
            };
            let header = Header::new(&block).map_err(|p| Error::new(None, at, p))?;
            let name = header.name();
            let fail = |problem| Error::new(Some(&name), at, problem);
            let part = match header.flag() {
                b'L' | b'K' => Part::LongName,
                b'x' | b'X' | b'g' => Part::PaxHeader,
                _ => {
                    if let Some(member) = self.member(&header, at, name, std::mem::take(&mut extensions))? {
                        return Ok(Some(member));
                    }
                    self.finish_data()?; // of one that is skipped
                    continue;
                }
            };
            let size = header.size().map_err(fail)?;
            let body_at = self.stream.offset;
            let used: usize = extensions.pax.iter().map(|(_, body)| body.len()).sum();
            let limit = if part == Part::LongName { MAX_NAME } else { MAX_PAX - (used as u64).min(MAX_PAX) };
            let body = self.body(size, limit, part).map_err(|e| e.of(&name))?;
            match header.flag() {
                b'L' => extensions.name = Some(until_nul(body)),
                b'K' => extensions.link = Some(until_nul(body)),
                b'g' => {
                    self.apply_globals(&body, body_at, &name)?;
                    continue; // it is no part of the member that follows
                }
                _ => extensions.pax.push((body_at, body)),
            }
            extensions.start.get_or_insert(at);
        }
    }

    /// Skips data and padding of the current member.
    fn finish_data(&mut self) -> Result<(), Error> {
        let (left, padding) = (std::mem::take(&mut self.left), std::mem::take(&mut self.padding));
        let skipped = self.stream.skip(left, Part::Data).and_then(|()| self.stream.skip(padding, Part::Padding));
        skipped.map_err(|e| e.of(&self.name))
    }

    /// The next header block; `None` at the end, which is then known. Decides whether a hard link has a body (I4).
    fn next_header_block(&mut self) -> Result<Option<(u64, Block)>, Error> {
        let mut body = std::mem::take(&mut self.link_body).div_ceil(UNIT); // all counts are blocks
        let mut zeros = 0;
        loop {
            let at = self.stream.offset;
            let Some(block) = self.stream.block(Part::Header)? else {
                self.end = Some(if zeros == 0 { End::CleanEof } else { end_after(zeros) });
                return Ok(None);
            };
            if is_zero(&block) {
                zeros += 1; // the body's or the end marker's: what follows tells
                if zeros >= 2 && zeros > body {
                    self.end = Some(End::Marker);
                    return Ok(None);
                }
            } else if zeros == body {
                return Ok(Some((at, block))); // no body to ask about, or one of zeros
            } else if zeros < body && header::verify(&block).is_err() {
                let rest = (body - zeros - 1) * UNIT;
                self.stream.skip(rest, Part::Data).map_err(|e| e.of(&self.name))?;
                (body, zeros) = (0, 0);
            } else if zeros == 0 {
                return Ok(Some((at, block))); // no body, as GNU tar has it
            } else {
                self.end = Some(end_after(zeros));
                return Ok(None);
            }
        }
    }

    /// The body of an extension member of `size` bytes, padding skipped. Grows with what is there, not with `size`.
    fn body(&mut self, size: u64, limit: u64, part: Part) -> Result<Vec<u8>, Error> {
        if size > limit {
            let problem = Problem::TooLong { what: part, len: size, limit };
            return Err(Error::new(None, self.stream.offset, problem));
        }
        let mut body = Vec::new();
        self.stream.pieces(size, part, |piece| body.extend_from_slice(piece))?;
        self.stream.skip(padding(size), part)?;
        Ok(body)
    }

    fn apply_globals(&mut self, body: &[u8], body_at: u64, name: &[u8]) -> Result<(), Error> {
        let globals = self.globals.get_or_insert_default();
        apply(globals, body, body_at).map_err(|e| e.of(name))?;
        let len = globals.size();
        if len > MAX_GLOBALS {
            let problem = Problem::TooLong { what: Part::Globals, len: len as u64, limit: MAX_GLOBALS as u64 };
            return Err(Error::new(Some(name), body_at, problem));
        }
        Ok(())
    }

    /// The member with this header; `None` when it is skipped, which is then up to [`Reader::finish_data`].
    fn member(
        &mut self,
        header: &Header,
        at: u64,
        header_name: Vec<u8>,
        extensions: Extensions,
    ) -> Result<Option<Member>, Error> {
        let Extensions { start, name: long_name, link: long_link, pax } = extensions;
        let mut attributes = self.globals.as_deref().cloned().unwrap_or_default();
        for (body_at, body) in &pax {
            let guess = || name_in(&pax).or(long_name.as_deref()).unwrap_or(&header_name).to_vec();
            apply(&mut attributes, body, *body_at).map_err(|e| e.of(&guess()))?;
        }
        let Attributes { path, link_path, size, uid, gid, mtime, major, minor, mut sparse, xattrs } = attributes;
        let path = sparse.name.take().or(path).or(long_name).unwrap_or(header_name);
        self.name.clone_from(&path);
        let fail = |problem| Error::new(Some(&path), at, problem);

        let size = size.map_or_else(|| header.size(), Ok).map_err(fail)?;
        let links_to = || link_path.or(long_link).unwrap_or_else(|| header.link_name().to_vec());
        let device = || -> Result<Device, Problem> {
            let (major, minor) = match (major, minor) {
                (Some(major), Some(minor)) => (major, minor),
                _ => header.device().map(|(a, b)| (major.unwrap_or(a), minor.unwrap_or(b)))?,
            };
            Ok(Device { major, minor })
        };
        let slash = path.last() == Some(&b'/');
        let mut stored = 0;
        let kind = match header.flag() {
            0 if slash => MemberKind::Directory,
            b'0' if slash && header.dialect == Dialect::V7 => MemberKind::Directory,
            b'0' | 0 | b'7' | b'S' => {
                stored = size;
                MemberKind::File
            }
            b'1' => {
                self.link_body = size.checked_next_multiple_of(UNIT).ok_or_else(|| fail(too_far()))?;
                MemberKind::HardLink(links_to())
            }
            b'2' => MemberKind::Symlink(links_to()),
            b'3' => MemberKind::CharDevice(device().map_err(fail)?),
            b'4' => MemberKind::BlockDevice(device().map_err(fail)?),
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            b'D' if header.dialect == Dialect::Gnu => {
                self.begin_data(size).map_err(fail)?;
                self.finish_data()?; // GNU tar's list of what was there, which is no content
                MemberKind::Directory
            }
            b'M' => return Err(fail(Problem::Unsupported("continued from another volume"))),
            flag => {
                if flag != b'V' {
                    self.warn(at, &path, Skipped::Type(flag));
                }
                self.begin_data(size).map_err(fail)?;
                return Ok(None);
            }
        };
        match &kind {
            MemberKind::Symlink(target) if target.is_empty() => return Err(fail(Problem::NoTarget)),
            MemberKind::Symlink(name) | MemberKind::HardLink(name) => check_length(name).map_err(fail)?,
            _ => {}
        }
        check_length(&path).map_err(fail)?;

        let meta = Metadata {
            mode: header.mode().map_err(fail)?,
            uid: uid.map_or_else(|| header.uid(), Ok).map_err(fail)?,
            gid: gid.map_or_else(|| header.gid(), Ok).map_err(fail)?,
            mtime: mtime.map_or_else(|| header.mtime().map(Timestamp::from_secs), Ok).map_err(fail)?,
        };
        if xattrs.has_nfs4_acl() {
            self.warn(at, &path, Skipped::Nfs4Acl);
        }
        let (xattrs, mode) = xattrs.decode(meta.mode).map_err(|e| fail(e.into()))?;
        let meta = Metadata { mode, ..meta };

        if kind == MemberKind::File {
            self.begin_data(stored).map_err(fail)?;
        }
        let (size, segments) = match kind {
            MemberKind::File if header.flag() == b'S' => self.old_map(header, at, stored)?,
            MemberKind::File => self.pax_map(&sparse, at, stored)?,
            _ => (0, None),
        };
        let stored = if kind == MemberKind::File { self.left } else { 0 };
        let (offset, data_offset) = (start.unwrap_or(at), self.stream.offset);
        Ok(Some(Member { offset, path, kind, meta, xattrs, size, sparse: segments, data_offset, stored }))
    }

    fn begin_data(&mut self, size: u64) -> Result<(), Problem> {
        self.stream.offset.checked_add(size).and_then(|end| end.checked_add(UNIT)).ok_or_else(too_far)?;
        (self.left, self.padding) = (size, padding(size));
        Ok(())
    }

    /// The size and map of an old GNU or star sparse file; extension blocks stand before the data.
    fn old_map(&mut self, header: &Header, at: u64, stored: u64) -> Result<(u64, Option<Vec<Segment>>), Error> {
        let fail = |problem| Error::new(Some(&self.name), at, problem);
        let without = Problem::Unsupported("sparse file in a header that has no room for its map");
        let sparse = header.sparse().ok_or_else(|| fail(without))?;
        let size = sparse.real_size().map_err(fail)?;
        let mut map = Map::default();
        let mut more = map.push_fields(sparse.map).map_err(|e| fail(e.into()))?;
        let mut extended = sparse.extended != 0;
        while extended {
            let at = self.stream.offset;
            let block = self.stream.block(Part::SparseMap).map_err(|e| e.of(&self.name))?;
            let block = block.ok_or_else(|| self.stream.cut(Part::SparseMap).of(&self.name))?;
            if more {
                let pushed = map.push_fields(&block[..504]);
                more = pushed.map_err(|e| Error::new(Some(&self.name), at, e))?;
            }
            extended = block[504] != 0;
        }
        let segments = map.finish(size, stored).map_err(|e| Error::new(Some(&self.name), at, e))?;
        Ok((size, segments))
    }

    /// The size and map that `GNU.sparse.*` records give; version 1.0 has its map before the data.
    fn pax_map(&mut self, sparse: &pax::Sparse, at: u64, stored: u64) -> Result<(u64, Option<Vec<Segment>>), Error> {
        let pax::Sparse { major, minor, real_size, segments, map: numbers, .. } = sparse;
        if major.is_none() && minor.is_none() && real_size.is_none() && segments.is_none() && numbers.is_empty() {
            return Ok((stored, None));
        }
        let name = std::mem::take(&mut self.name);
        let fail = |problem: SparseError| Error::new(Some(&name), at, problem);
        let size = real_size.ok_or_else(|| fail(SparseError::NoSize))?;
        let map = match (major.unwrap_or(0), minor.unwrap_or(0)) {
            (0, _) => {
                let mut map = Map::default();
                map.push_numbers(numbers, *segments).map_err(fail)?;
                map
            }
            (1, 0) => self.text_map(&name)?,
            (major, minor) => return Err(fail(SparseError::Version(major, minor))),
        };
        let segments = map.finish(size, self.left).map_err(fail)?;
        self.name = name;
        Ok((size, segments))
    }

    fn text_map(&mut self, name: &[u8]) -> Result<Map, Error> {
        let mut parser = TextMap::default();
        loop {
            let at = self.stream.offset;
            self.left = self.left.checked_sub(UNIT).ok_or_else(|| Error::new(Some(name), at, SparseError::Unended))?;
            let block = self.stream.block(Part::SparseMap).map_err(|e| e.of(name))?;
            let block = block.ok_or_else(|| self.stream.cut(Part::SparseMap).of(name))?;
            if let Some(map) = parser.block(&block).map_err(|e| Error::new(Some(name), at, e))? {
                return Ok(map);
            }
        }
    }

    fn warn(&mut self, offset: u64, member: &[u8], skipped: Skipped) {
        if !self.warned.contains(&skipped) {
            self.warned.push(skipped);
            self.warnings.push(Warning { offset, member: member.to_vec(), skipped });
        }
    }
}

const UNIT: u64 = BLOCK as u64;

/// Bytes from the end of `size` bytes of data to the next block.
pub(super) fn padding(size: u64) -> u64 {
    (UNIT - size % UNIT) % UNIT
}

fn end_after(zeros: u64) -> End {
    if zeros >= 2 { End::Marker } else { End::LoneZeroBlock }
}

fn too_far() -> Problem {
    Problem::Unsupported("size beyond all streams")
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(nul) = name.iter().position(|&b| b == 0) {
        name.truncate(nul);
    }
    name
}

fn check_length(name: &[u8]) -> Result<(), Problem> {
    let len = name.len() as u64;
    if len > MAX_NAME {
        return Err(Problem::TooLong { what: Part::LongName, len, limit: MAX_NAME });
    }
    Ok(())
}

/// Adds the records of a PAX header's body, which stands at `body_at` in the stream.
fn apply(attributes: &mut Attributes, body: &[u8], body_at: u64) -> Result<(), Error> {
    attributes.sparse.begin();
    for record in pax::records(body) {
        let result = record.and_then(|record| attributes.apply(record).map_err(|e| (record.at, e)));
        result.map_err(|(at, e)| Error::new(None, body_at + at as u64, e))?;
    }
    Ok(())
}

/// The member's name for an error in its PAX headers, as far as they can be read.
fn name_in(pax: &[(u64, Vec<u8>)]) -> Option<&[u8]> {
    let named = |keyword: &[u8]| {
        let records = pax.iter().flat_map(|(_, body)| pax::records(body)).flatten();
        records.filter(|r| r.keyword == keyword).last().map(|r| r.value)
    };
    named(b"GNU.sparse.name").or_else(|| named(b"path")).filter(|name| !name.is_empty())
}

/// The data of a member: a view of the reader's own buffer that ends where the data does.
///
/// An error is an [`Error`] inside an [`io::Error`].
pub struct Data<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: BufRead> Data<'_, R> {
    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.reader.left
    }
}

impl<R: BufRead> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Reader { stream, left, name, .. } = &mut *self.reader;
        if *left == 0 {
            return Ok(&[]);
        }
        let at = stream.offset;
        let available = stream.fill().map_err(|e| e.of(name))?;
        if available.is_empty() {
            return Err(Error::new(Some(name), at, Problem::Cut(Part::Data)).into());
        }
        Ok(&available[..available.len().min(usize::try_from(*left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, len: usize) {
        let len = len.min(usize::try_from(self.reader.left).unwrap_or(usize::MAX));
        self.reader.stream.consume(len);
        self.reader.left -= len as u64;
    }
}

impl<R: BufRead> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}
