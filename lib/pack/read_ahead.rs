//! Reading and decoding on another core: a thread reads while the image is written.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::relay::PageBuffer;

/// Bytes in a buffer; [`BUFFERS`] of them go round.
const SIZE: usize = 256 << 10;
const BUFFERS: usize = 4;

/// What a reader delivers, read in advance by a thread of its own. The thread ends with the input or an error, or at
/// its next read after this was dropped.
#[derive(Debug)]
pub(super) struct ReadAhead {
    full: Receiver<io::Result<PageBuffer>>,
    empty: SyncSender<PageBuffer>,
    buffer: PageBuffer,
    at: usize,
    ended: bool,
}

impl ReadAhead {
    /// Starts reading.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn spawn(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (send_full, full) = sync_channel(BUFFERS);
        let (empty, take_empty) = sync_channel::<PageBuffer>(BUFFERS);
        for _ in 1..BUFFERS {
            // The channel has room for all of them.
            let _ = empty.try_send(PageBuffer::with_capacity(SIZE));
        }
        thread::Builder::new().name("decode".to_owned()).spawn(move || {
            while let Ok(mut buffer) = take_empty.recv() {
                buffer.reset(SIZE);
                // What came before an error is lost: the error ends everything.
                let filled = buffer.fill(&mut reader);
                let last = !matches!(filled, Ok(true));
                if send_full.send(filled.map(|_| buffer)).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Self { full, empty, buffer: PageBuffer::default(), at: 0, ended: false })
    }
}

impl BufRead for ReadAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() && !self.ended {
            let old = std::mem::take(&mut self.buffer);
            self.at = 0;
            if old.capacity() > 0 {
                // Refused only by a thread that has ended.
                let _ = self.empty.try_send(old);
            }
            self.ended = true;
            let lost = || Err(io::Error::other("the decoder stopped"));
            self.buffer = self.full.recv().unwrap_or_else(|_| lost())?;
            self.ended = self.buffer.len() < SIZE;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.buffer.len());
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.fill_buf()?;
        let length = filled.len().min(buffer.len());
        buffer[..length].copy_from_slice(&filled[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

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
