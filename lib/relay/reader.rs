use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

use super::PageBuffer;
use crate::sys::uninterrupted;

/// A buffered reader like [`std::io::BufReader`], whose buffer begins on a page boundary.
#[derive(Debug)]
pub struct PageReader<R> {
    inner: R,
    buffer: PageBuffer,
}

impl<R: Read> PageReader<R> {
    /// Reads up to `capacity` bytes at once.
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        Self { inner, buffer: PageBuffer::with_capacity(capacity) }
    }

    /// How many bytes are buffered.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.unread().len()
    }

    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }
}

impl<R: Read> BufRead for PageReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered() == 0 {
            self.buffer.clear();
            self.buffer.read_from(&mut self.inner, usize::MAX)?;
        }
        Ok(self.buffer.unread())
    }

    fn consume(&mut self, amount: usize) {
        self.buffer.consume(amount);
    }
}

impl<R: Read> Read for PageReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A caller with as much room needs no buffer.
        if self.buffered() == 0 && buf.len() >= self.buffer.capacity() {
            return uninterrupted(|| self.inner.read(buf));
        }
        read_buffered(self, buf)
    }
}

/// The buffered bytes, as by `fill_buf`, ignoring interruptions: at least one, except at the end.
///
/// # Errors
/// Those of the reader, except interruptions.
pub fn fill<R: BufRead>(reader: &mut R) -> io::Result<&[u8]> {
    loop {
        // Called twice, because the borrow checker does not accept returning the slice from within the loop.
        match reader.fill_buf() {
            // At the end, a second call would read the source again, and might be interrupted.
            Ok([]) => return Ok(&[]),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    reader.fill_buf()
}

/// `Read::read` in terms of `BufRead`.
///
/// # Errors
/// Those of the reader.
pub fn read_buffered(reader: &mut impl BufRead, buf: &mut [u8]) -> io::Result<usize> {
    let len = reader.fill_buf()?.read(buf)?;
    reader.consume(len);
    Ok(len)
}

/// As much of `len` bytes of a stream as fits into `room` bytes of memory.
#[must_use]
pub fn fitting(len: u64, room: usize) -> usize {
    usize::try_from(len).map_or(room, |len| len.min(room))
}

/// Reads a file from an offset on, whatever the position of its descriptor.
#[derive(Debug)]
pub struct FileAt<'f> {
    /// The file.
    pub file: &'f File,
    /// Where to read next, in bytes.
    pub at: u64,
}

impl Read for FileAt<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = uninterrupted(|| self.file.read_at(buf, self.at))?;
        self.at += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn pieces_of_any_size_are_the_whole() {
        let data: Vec<u8> = (0..=250).cycle().take(1000).collect();
        for piece in [1, 7, 99, 100, 101, 2000] {
            let mut reader = PageReader::with_capacity(100, &data[..]);
            let (mut got, mut buf) = (Vec::new(), vec![0; piece]);
            loop {
                let len = reader.read(&mut buf).unwrap();
                got.extend_from_slice(&buf[..len]);
                if len == 0 {
                    break;
                }
                let shown = reader.fill_buf().unwrap().len().min(3);
                got.extend_from_slice(&reader.buffer.unread()[..shown]);
                reader.consume(shown);
            }
            assert!(got == data, "pieces of {piece}");
        }
    }
}
