//! The gzip format around raw deflate data.
//!
//! Members are parsed here rather than by flate2's reader because layers may have thousands of them (eStargz has at
//! least one per file): one inflate state serves them all, and every error knows its offset.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::Error;
use super::counted::Counted;
use super::error::invalid;
use crate::relay::fill;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The position in the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Member,
    Body,
    End,
}

/// Reads all members of a gzip stream, each verified by its CRC-32 and length.
pub(super) struct Gzip<R> {
    source: Counted<R>,
    inflate: Decompress,
    crc: Crc,
    at: Position,
    first: bool,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source: Counted::new(source),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            at: Position::Member,
            first: true,
        }
    }

    /// Starts the next member, or finds the end: nothing, or only zero bytes (padding by tapes and some builders).
    fn begin(&mut self) -> io::Result<()> {
        let start = self.source.consumed;
        match self.next_byte()? {
            None if !self.first => self.at = Position::End,
            Some(0) if !self.first => self.padding(start)?,
            Some(0x1f) => {
                self.header()?;
                self.inflate.reset(false);
                self.crc.reset();
                self.first = false;
                self.at = Position::Body;
            }
            Some(_) => return Err(self.wrong(start, "neither a gzip member nor the end of the stream")),
            None => return Err(self.cut()),
        }
        Ok(())
    }

    fn padding(&mut self, start: u64) -> io::Result<()> {
        loop {
            let buffer = fill(&mut self.source)?;
            if buffer.is_empty() {
                self.at = Position::End;
                return Ok(());
            }
            if buffer.iter().any(|byte| *byte != 0) {
                return Err(self.wrong(start, "neither a gzip member nor the end of the stream"));
            }
            let len = buffer.len();
            self.source.consume(len);
        }
    }

    /// The header after its first byte.
    fn header(&mut self) -> io::Result<()> {
        let start = self.source.consumed - 1;
        let fixed: [u8; 9] = self.exact()?;
        let [0x8b, method, flags, ..] = fixed else {
            return Err(self.wrong(start, "neither a gzip member nor the end of the stream"));
        };
        if method != 8 {
            return Err(self.wrong(start, "the gzip member is not compressed with deflate"));
        }
        if flags & RESERVED != 0 {
            return Err(self.wrong(start, "the gzip header has reserved flags"));
        }
        if flags & FEXTRA != 0 {
            let len = u16::from_le_bytes(self.exact()?);
            for _ in 0..len {
                self.byte()?;
            }
        }
        for flag in [FNAME, FCOMMENT] {
            while flags & flag != 0 && self.byte()? != 0 {}
        }
        if flags & FHCRC != 0 {
            self.exact::<2>()?;
        }
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let start = self.source.consumed;
        let crc = u32::from_le_bytes(self.exact()?);
        let len = u32::from_le_bytes(self.exact()?);
        if crc != self.crc.sum() {
            return Err(self.wrong(start, "the CRC-32 of the gzip member is wrong"));
        }
        if len != self.crc.amount() {
            return Err(self.wrong(start, "the length of the gzip member is wrong"));
        }
        self.at = Position::Member;
        Ok(())
    }

    fn body(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            let input = fill(&mut self.source)?;
            if input.is_empty() {
                // Bytes decoded just before the cut are useless, so the error may come at once.
                return Err(self.cut());
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, &mut buf[filled..], FlushDecompress::None);
            let used = counted(self.inflate.total_in() - before_in)?;
            let made = counted(self.inflate.total_out() - before_out)?;
            self.source.consume(used);
            self.crc.update(&buf[filled..filled + made]);
            filled += made;
            match status {
                Ok(Status::StreamEnd) => {
                    self.trailer()?;
                    break;
                }
                Ok(_) if used == 0 && made == 0 => {
                    return Err(self.wrong(self.source.consumed, "the deflate data is corrupt"));
                }
                Ok(_) => {}
                Err(_) => return Err(self.wrong(self.source.consumed, "the deflate data is corrupt")),
            }
        }
        Ok(filled)
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = fill(&mut self.source)?.first().copied();
        if byte.is_some() {
            self.source.consume(1);
        }
        Ok(byte)
    }

    fn byte(&mut self) -> io::Result<u8> {
        match self.next_byte()? {
            Some(byte) => Ok(byte),
            None => Err(self.cut()),
        }
    }

    fn exact<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    fn cut(&self) -> io::Error {
        invalid(Error::GzipCut { offset: self.source.consumed })
    }

    fn wrong(&self, offset: u64, what: &'static str) -> io::Error {
        invalid(Error::Gzip { offset, what })
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Fills the buffer across members: callers pass large buffers and expect them to be filled.
        let mut filled = 0;
        while filled < buf.len() {
            match self.at {
                Position::End => break,
                Position::Member => self.begin()?,
                Position::Body => filled += self.body(&mut buf[filled..])?,
            }
        }
        Ok(filled)
    }
}

fn counted(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::Error::other("inflate counts more bytes than there is memory"))
}
