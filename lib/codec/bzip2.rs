//! Any number of consecutive bzip2 streams, as parallel compressors write them.
//!
//! Decoding is by `bzip2` over `libbz2-rs-sys`, the library translated to Rust, which was measured to be as fast. A
//! block needs less than 4 MiB whatever a stream says.

use std::io::{self, BufRead, Read};

use bzip2::{Decompress, Status};

use super::Error;
use super::counted::Counted;
use crate::relay::fill;

/// Reads all streams, each verified by its CRC.
pub(super) struct Bzip2<R> {
    source: Counted<R>,
    /// `None` between streams.
    stream: Option<Decompress>,
    first: bool,
    ended: bool,
}

impl<R: BufRead> Bzip2<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source: Counted::new(source), stream: None, first: true, ended: false }
    }

    /// Starts the next stream, or finds the end: nothing, or only zero bytes (padding of tapes).
    fn begin(&mut self) -> io::Result<()> {
        let input = fill(&mut self.source)?;
        match input.first() {
            Some(b'B') => {
                self.stream = Some(Decompress::new(false));
                self.first = false;
            }
            Some(0) if !self.first => {
                let zeros = input.iter().take_while(|byte| **byte == 0).count();
                self.source.consume(zeros);
            }
            None => self.ended = true,
            Some(_) => return Err(self.wrong("neither a bzip2 stream nor the end of the file")),
        }
        Ok(())
    }

    fn body(&mut self, stream: &mut Decompress, buf: &mut [u8]) -> io::Result<(usize, bool)> {
        loop {
            let input = fill(&mut self.source)?;
            if input.is_empty() {
                let error = Error::Bzip2 { offset: self.source.consumed, what: "the stream is cut" };
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
            }
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(input, buf);
            let used = usize::try_from(stream.total_in().saturating_sub(before_in)).unwrap_or(input.len());
            let made = usize::try_from(stream.total_out().saturating_sub(before_out)).unwrap_or(buf.len());
            self.source.consume(used);
            match status {
                Ok(Status::StreamEnd) => return Ok((made, true)),
                Ok(_) if made > 0 => return Ok((made, false)),
                Ok(_) if used > 0 => {}
                Ok(_) | Err(_) => return Err(self.wrong("the bzip2 data is corrupt")),
            }
        }
    }

    fn wrong(&self, what: &'static str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Error::Bzip2 { offset: self.source.consumed, what })
    }
}

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Fills the buffer across streams: callers pass large buffers and expect them to be filled.
        let mut filled = 0;
        while filled < buf.len() && !self.ended {
            let Some(mut stream) = self.stream.take() else {
                self.begin()?;
                continue;
            };
            let (made, ended) = self.body(&mut stream, &mut buf[filled..])?;
            filled += made;
            self.stream = (!ended).then_some(stream);
        }
        Ok(filled)
    }
}
