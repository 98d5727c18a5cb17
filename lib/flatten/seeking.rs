//! Reads a tar's headers and skips the data between them.

use std::fs::File;
use std::io::{self, BufRead, Read};

use crate::relay::{FileAt, PageReader};

/// Bytes read at once: headers, and the data of small files between them.
const BUFFER: usize = 64 << 10;

/// Reads a regular file from its beginning, and can skip parts of it.
#[derive(Debug)]
pub(super) struct Seeking<'f> {
    reader: PageReader<FileAt<'f>>,
    size: u64,
}

impl<'f> Seeking<'f> {
    /// A reader of `file`, which is `size` bytes long.
    pub(super) fn new(file: &'f File, size: u64) -> Self {
        Self { reader: PageReader::with_capacity(BUFFER, FileAt { file, at: 0 }), size }
    }

    /// Skips bytes, all of which must exist.
    pub(super) fn pass_over(&mut self, len: u64) -> io::Result<()> {
        let buffered = self.reader.buffered();
        if let Some(beyond) = len.checked_sub(buffered as u64) {
            self.reader.consume(buffered);
            let file = self.reader.get_mut();
            let next = file.at.checked_add(beyond).filter(|next| *next <= self.size);
            file.at = next.ok_or(io::ErrorKind::UnexpectedEof)?;
        } else {
            self.reader.consume(usize::try_from(len).unwrap_or_default());
        }
        Ok(())
    }
}

impl BufRead for Seeking<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

impl Read for Seeking<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }
}
