//! Reading a tar's headers without the data between them.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

use crate::relay::PageBuffer;
use crate::sys::uninterrupted;

/// Bytes read at once: headers, and the data of small files between them.
const BUFFER: usize = 64 << 10;

/// A regular file that is read from its beginning, where parts can be passed over.
#[derive(Debug)]
pub(super) struct Seeking<'f> {
    file: &'f File,
    size: u64,
    /// Where what follows the buffer stands.
    next: u64,
    buffer: PageBuffer,
    /// How much of the buffer has been consumed.
    at: usize,
}

impl<'f> Seeking<'f> {
    /// A reader of `file`, which is `size` bytes long.
    pub(super) fn new(file: &'f File, size: u64) -> Self {
        Self { file, size, next: 0, buffer: PageBuffer::with_capacity(BUFFER), at: 0 }
    }

    /// Passes over bytes that must be there.
    pub(super) fn pass_over(&mut self, len: u64) -> io::Result<()> {
        let buffered = (self.buffer.len() - self.at) as u64;
        if let Some(beyond) = len.checked_sub(buffered) {
            let next = self.next.checked_add(beyond).filter(|next| *next <= self.size);
            self.next = next.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.buffer.clear();
            self.at = 0;
        } else {
            self.at += usize::try_from(len).unwrap_or_default();
        }
        Ok(())
    }
}

impl BufRead for Seeking<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            let len = self.buffer.read_from(&mut ReadAt { file: self.file, at: self.next }, usize::MAX)?;
            self.next += len as u64;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.buffer.len());
    }
}

impl Read for Seeking<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(buf)?;
        self.consume(len);
        Ok(len)
    }
}

struct ReadAt<'f> {
    file: &'f File,
    at: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.file.read_at(buf, self.at))
    }
}
