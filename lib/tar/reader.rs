use std::io::BufRead;

use super::extensions::{Extensions, Globals, until_nul};
use super::header::{self, Block, Header, is_zero};
use super::limits::{MAX_NAME, MAX_PAX};
use super::sparse::SmallSegments;
use super::stream::Stream;
use super::{End, Error, Member, Part, Problem, Skipped, TrailingSlash, UNIT, Warning};
use super::{empty, foreign};
use crate::meta::SharedXattrs;

/// Reads a tar stream of any dialect, member by member (I1 to I4).
///
/// ```
/// use oci2ext4::tar::{Reader, End};
/// let mut reader = Reader::new(&[0; 1024][..]);
/// while let Some(member) = reader.next_member()? {
///     std::io::copy(&mut reader.data(), &mut std::io::sink())?;
///     let size = member.entry.content().map_or(0, |file| file.size);
///     println!("{} of {size} bytes", member.path.escape_ascii());
/// }
/// assert_eq!(reader.end(), Some(End::Marker));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<R> {
    pub(super) stream: Stream<R>,
    /// The current member's name, for errors in its data.
    pub(super) name: Vec<u8>,
    /// The current member's unread data, in bytes.
    pub(super) left: u64,
    /// The padding after the current member's data, in bytes.
    pub(super) padding: u64,
    /// The current member is a hard link that may have a body of this many bytes, padded.
    pub(super) link_body: u64,
    /// A hard link of this archive had a size and no body.
    links_have_no_body: bool,
    /// The last of them, in case it had a body after all.
    link_in_doubt: Option<LinkInDoubt>,
    /// The attributes from `g` members.
    pub(super) globals: Option<Box<Globals>>,
    /// The meaning of a file name that ends in a slash.
    pub(super) trailing_slash: TrailingSlash,
    /// The attributes of members so far.
    pub(super) shared: SharedXattrs,
    /// How many segments of sparse files may be small.
    pub(super) small_segments: SmallSegments,
    /// Whether there has been a header.
    has_header: bool,
    warnings: Vec<Warning>,
    warned: Vec<Skipped>,
    end: Option<End>,
    failed: bool,
}

/// A hard link that has a size and is followed by a member header.
struct LinkInDoubt {
    name: Vec<u8>,
    /// The ends of its header and of the body that it may have; offsets in the stream.
    start: u64,
    end: u64,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the beginning of an uncompressed tar stream.
    pub fn new(input: R) -> Self {
        Self {
            stream: Stream { input, offset: 0 },
            name: Vec::new(),
            left: 0,
            padding: 0,
            link_body: 0,
            links_have_no_body: false,
            link_in_doubt: None,
            globals: None,
            trailing_slash: TrailingSlash::AsInLayers,
            shared: SharedXattrs::default(),
            small_segments: SmallSegments::default(),
            has_header: false,
            warnings: Vec::new(),
            warned: Vec::new(),
            end: None,
            failed: false,
        }
    }

    /// Sets the meaning of file names that end in a slash.
    #[must_use]
    pub fn trailing_slash(mut self, meaning: TrailingSlash) -> Self {
        self.trailing_slash = meaning;
        self
    }

    /// Skips the rest of the current member and reads the headers of the next; `None` at the end of the archive.
    ///
    /// # Errors
    /// When the stream cannot be read, is cut or malformed. After an error this returns `None`, and [`Reader::end`] stays
    /// `None`.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        if self.end.is_some() || self.failed {
            return Ok(None);
        }
        let result = self.advance();
        self.failed = result.is_err();
        result
    }

    /// How the stream ended, once [`Reader::next_member`] has returned `None`.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// How far the stream has been read, in bytes.
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
            let header = Header::new(&block).map_err(|problem| match problem {
                Problem::Checksum { .. } if at == 0 => {
                    Error::new(None, at, Problem::NotTar(foreign::looks_like(&block)))
                }
                problem => Error::new(None, at, problem),
            })?;
            self.has_header = true;
            let name = header.name();
            let fail = |problem| Error::new(Some(&name), at, problem);
            let part = match header.flag() {
                b'L' | b'K' => Part::LongName,
                b'x' | b'X' | b'g' => Part::PaxHeader,
                _ => {
                    if let Some(member) = self.member(&header, at, name, std::mem::take(&mut extensions))? {
                        return Ok(Some(member));
                    }
                    continue;
                }
            };
            let size = header.size().map_err(fail)?;
            let body_at = self.stream.offset;
            let limit = if part == Part::LongName { MAX_NAME } else { MAX_PAX };
            if matches!(header.flag(), b'x' | b'X') {
                extensions.pax = None; // superseded: free its memory
            }
            let body = self.body(size, limit, part).map_err(|e| e.of(&name))?;
            match header.flag() {
                b'L' => extensions.name = Some(until_nul(body)),
                b'K' => extensions.link = Some(until_nul(body)),
                b'g' => {
                    self.globals.get_or_insert_default().apply(&body, body_at).map_err(|e| e.of(&name))?;
                    continue; // it does not belong to the next member
                }
                _ => extensions.pax = Some((body_at, body)),
            }
            extensions.start.get_or_insert(at);
        }
    }

    /// Skips data and padding of the current member.
    pub(super) fn finish_data(&mut self) -> Result<(), Error> {
        let (left, padding) = (std::mem::take(&mut self.left), std::mem::take(&mut self.padding));
        let skipped = self.stream.skip(left, Part::Data).and_then(|()| self.stream.skip(padding, Part::Padding));
        skipped.map_err(|e| e.of(&self.name))
    }

    /// The next header block; `None` at the end, which is then set. Decides whether a hard link has a body (I4).
    ///
    /// Zeros after a hard link with a size may be its body. They are an end marker only if they exceed that body by two
    /// blocks, or if links of this archive are known to have none: otherwise a stream cut inside the body would pass as
    /// complete.
    fn next_header_block(&mut self) -> Result<Option<(u64, Block)>, Error> {
        let mut body = std::mem::take(&mut self.link_body).div_ceil(UNIT); // all counts are blocks
        let mut zeros = 0;
        loop {
            let marker = if self.links_have_no_body { 2 } else { body + 2 };
            let at = self.stream.offset;
            let Some(block) = self.stream.block(Part::Header)? else {
                self.end = Some(match zeros {
                    0 => End::CleanEof,
                    _ if zeros >= marker => End::Marker,
                    _ if body > 0 => End::PerhapsInBody,
                    _ => End::LoneZeroBlock,
                });
                return Ok(None);
            };
            if is_zero(&block) {
                zeros += 1;
                if zeros >= marker.max(body + 1) {
                    if !self.has_header {
                        empty::check(&mut self.stream)?;
                    }
                    self.check_link_in_doubt()?;
                    self.end = Some(End::Marker);
                    return Ok(None);
                }
            } else if zeros == body {
                return Ok(Some((at, block))); // no body, or one of zeros
            } else if zeros < body && header::verify(&block).is_err() {
                let rest = (body - zeros - 1) * UNIT;
                self.stream.skip(rest, Part::Data).map_err(|e| e.of(&self.name))?;
                (body, zeros) = (0, 0);
            } else if zeros == 0 {
                self.links_have_no_body = true; // as in GNU tar
                let (name, end) = (self.name.clone(), at.saturating_add(body.saturating_mul(UNIT)));
                self.link_in_doubt = Some(LinkInDoubt { name, start: at, end });
                return Ok(Some((at, block)));
            } else if !self.has_header {
                return Err(empty::refuse(&mut self.stream, &block));
            } else {
                // Possibly within a body: two zero blocks before a header are an end marker with something after it.
                let marker = if zeros < body { 2 } else { marker };
                self.end = Some(if zeros >= marker { End::Marker } else { End::LoneZeroBlock });
                return Ok(None);
            }
        }
    }

    /// There is an end marker. If it is where a hard link's body would be, and a member follows that body, the link did have
    /// a body, which is itself an archive; its members have been taken for this archive's.
    fn check_link_in_doubt(&mut self) -> Result<(), Error> {
        let Some(LinkInDoubt { name, start, end }) = self.link_in_doubt.take() else { return Ok(()) };
        let Some(left) = end.checked_sub(self.stream.offset) else { return Ok(()) };
        let skipped = self.stream.skip(left, Part::Data);
        match skipped.and_then(|()| self.stream.block(Part::Header)) {
            Ok(Some(block)) if header::verify(&block).is_ok() => {
                let problem = Problem::Unsupported("the body of this hard link is itself an archive");
                Err(Error::new(Some(&name), start, problem))
            }
            Err(error) if !error.is_cut() => Err(error),
            _ => Ok(()),
        }
    }

    /// The body of an extension member of `size` bytes, without padding. Memory grows with what is there, not with `size`.
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

    pub(super) fn warn(&mut self, offset: u64, member: &[u8], skipped: Skipped) {
        if !self.warned.contains(&skipped) {
            self.warned.push(skipped);
            self.warnings.push(Warning { offset, member: member.to_vec(), skipped });
        }
    }
}

/// The number of padding bytes after `size` bytes of data.
pub(super) fn padding(size: u64) -> u64 {
    (UNIT - size % UNIT) % UNIT
}
