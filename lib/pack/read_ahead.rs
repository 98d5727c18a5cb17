//! Reads and decodes on another core while the image is written.

use std::io::{self, BufRead, Read};

use crate::relay::{Ended, PageBuffer, Receiver, hand_over, read_buffered};
use crate::sys::start_thread;

/// The size of a buffer; [`BUFFERS`] of them circulate.
const SIZE: usize = 256 << 10;
const BUFFERS: usize = 4;

/// A reader's output, read in advance by a separate thread. The thread ends with the input, with an error, or at its next
/// read after this is dropped.
#[derive(Debug)]
pub(super) struct ReadAhead {
    full: Receiver<PageBuffer, io::Error>,
    buffer: PageBuffer,
    ended: bool,
}

impl ReadAhead {
    /// Starts reading.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn spawn(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (mut sender, full) = hand_over(BUFFERS);
        start_thread("decode", move || {
            let mut buffer = PageBuffer::default();
            loop {
                buffer.reset(SIZE);
                let more = match buffer.fill(&mut reader) {
                    Ok(more) => more,
                    // Bytes read just before the error are lost, but the error ends everything anyway.
                    Err(error) => return sender.fail(error),
                };
                if !more {
                    let _ = sender.send(buffer);
                    return sender.close();
                }
                // Refused once the reader has been dropped.
                let Ok(returned) = sender.exchange(buffer) else { return };
                buffer = returned.unwrap_or_default();
            }
        })?;
        Ok(Self { full, buffer: PageBuffer::default(), ended: false })
    }
}

impl BufRead for ReadAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer.unread().is_empty() && !self.ended {
            let old = std::mem::take(&mut self.buffer);
            if old.capacity() > 0 {
                self.full.give_back(old);
            }
            self.ended = true;
            let next = self.full.receive().map_err(|ended| match ended {
                Ended::Failed(error) => error,
                Ended::Gone => io::Error::other("the decoder stopped"),
            })?;
            self.buffer = next.unwrap_or_default();
            self.ended = self.buffer.len() < SIZE;
        }
        Ok(self.buffer.unread())
    }

    fn consume(&mut self, amount: usize) {
        self.buffer.consume(amount);
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn everything_comes_through_and_then_nothing() {
        for length in [0, 1, SIZE - 1, SIZE, SIZE + 1, 9 * SIZE + 77] {
            let data: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
            let mut ahead = ReadAhead::spawn(io::Cursor::new(data.clone())).unwrap();
            let mut got = Vec::new();
            ahead.read_to_end(&mut got).unwrap();
            assert!(got == data, "{length} bytes");
            assert_eq!(ahead.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn an_error_comes_once_and_dropping_early_is_fine() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut ahead = ReadAhead::spawn(io::repeat(1).take(SIZE as u64).chain(Broken)).unwrap();
        let mut got = vec![0; SIZE];
        ahead.read_exact(&mut got).unwrap();
        assert_eq!(ahead.read(&mut [0]).unwrap_err().to_string(), "broken");
        drop(ReadAhead::spawn(io::repeat(0)).unwrap());
    }
}
