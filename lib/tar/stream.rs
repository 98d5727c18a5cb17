//! The byte stream below a reader: blocks, skips and the offset.

use std::io::BufRead;

use super::foreign;
use super::header::Block;
use super::{BLOCK, Error, Part, Problem};
use crate::relay::{fill, fitting};

/// A buffered stream that knows its offset.
pub(super) struct Stream<R> {
    pub(super) input: R,
    pub(super) offset: u64,
}

impl<R: BufRead> Stream<R> {
    /// The buffered bytes: at least one, except at the end of the stream.
    pub(super) fn fill(&mut self) -> Result<&[u8], Error> {
        fill(&mut self.input).map_err(|error| Error::new(None, self.offset, error))
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.input.consume(len);
        self.offset += len as u64;
    }

    /// The next block; `None` at the end of the stream.
    pub(super) fn block(&mut self, part: Part) -> Result<Option<Block>, Error> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let available = self.fill()?;
            if available.is_empty() {
                break;
            }
            let len = available.len().min(BLOCK - filled);
            block[filled..filled + len].copy_from_slice(&available[..len]);
            filled += len;
            self.consume(len);
        }
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            // This is the whole stream: it may be another format, and then nothing is missing.
            _ => match foreign::known(&block).filter(|_| self.offset == filled as u64) {
                Some(what) => Err(Error::new(None, 0, Problem::NotTar(what))),
                None => Err(self.cut(part)),
            },
        }
    }

    /// Passes the next `len` bytes to `take` piece by piece.
    pub(super) fn pieces(&mut self, mut len: u64, part: Part, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        while len > 0 {
            let available = self.fill()?;
            if available.is_empty() {
                return Err(self.cut(part));
            }
            let piece = fitting(len, available.len());
            take(&available[..piece]);
            self.consume(piece);
            len -= piece as u64;
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, len: u64, part: Part) -> Result<(), Error> {
        self.pieces(len, part, |_| {})
    }

    pub(super) fn cut(&self, part: Part) -> Error {
        Error::new(None, self.offset, Problem::Cut(part))
    }
}
