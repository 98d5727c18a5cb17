use std::io::{self, BufRead, Read};

use super::PageBuffer;
use crate::sys::uninterrupted;

/// A buffered reader, as [`std::io::BufReader`] is one, with a buffer that begins a page.
#[derive(Debug)]
pub struct PageReader<R> {
    inner: R,
    buffer: PageBuffer,
    /// How much of the buffer has been consumed.
    at: usize,
}

impl<R: Read> PageReader<R> {
    /// Reads `capacity` bytes at once.
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        Self { inner, buffer: PageBuffer::with_capacity(capacity), at: 0 }
    }
}

impl<R: Read> BufRead for PageReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            self.buffer.read_from(&mut self.inner, usize::MAX)?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.buffer.len());
    }
}

impl<R: Read> Read for PageReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Who brings as much room needs no other.
        if self.at == self.buffer.len() && buf.len() >= self.buffer.capacity() {
            return uninterrupted(|| self.inner.read(buf));
        }
        let len = self.fill_buf()?.read(buf)?;
        self.consume(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

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
                got.extend_from_slice(&reader.buffer[reader.at..][..shown]);
                reader.consume(shown);
            }
            assert!(got == data, "pieces of {piece}");
        }
    }
}
