//! Computes a blob's digest in its own thread while the next bytes arrive and are written.

use std::convert::Infallible;
use std::io;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crate::image::{Algorithm, Hasher};
use crate::relay::{PageBuffer, Sender, hand_over};

/// The number of buffers in circulation.
const BUFFERS: usize = 4;

/// A thread pays off for blobs longer than this, in bytes.
const LONG: usize = 256 << 10;

/// The hash of all bytes added so far.
#[derive(Debug)]
pub(super) struct HashBehind {
    /// The hash so far of the calling thread; while the other thread runs, that one is ahead.
    hasher: Hasher,
    thread: Option<Thread>,
    /// The number of bytes added in buffers.
    seen: usize,
}

#[derive(Debug)]
struct Thread {
    full: Sender<PageBuffer, Infallible>,
    handle: JoinHandle<Hasher>,
}

impl HashBehind {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self { hasher: Hasher::new(algorithm), thread: None, seen: 0 }
    }

    /// The hasher after all bytes that were added. Ends the thread.
    pub(super) fn settled(&mut self) -> &mut Hasher {
        if let Some(Thread { full, handle }) = self.thread.take() {
            full.close();
            self.hasher = handle.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        &mut self.hasher
    }

    /// Adds the content of `buffer`, to be hashed soon; returns a buffer to fill next, with any content.
    pub(super) fn add(&mut self, buffer: PageBuffer) -> PageBuffer {
        if self.thread.is_none() && self.seen >= LONG {
            self.thread = Thread::spawn(self.hasher.clone()).ok();
        }
        self.seen = self.seen.saturating_add(buffer.len());
        let Some(thread) = &mut self.thread else {
            self.hasher.update(&buffer);
            return buffer;
        };
        let returned = thread.full.exchange(buffer);
        if returned.is_err() {
            // The thread panicked, which joining it will report.
            self.settled();
        }
        returned.ok().flatten().unwrap_or_default()
    }
}

impl Thread {
    fn spawn(mut hasher: Hasher) -> io::Result<Self> {
        let (full, receiver) = hand_over::<PageBuffer, _>(BUFFERS);
        let handle = thread::Builder::new().name("hash".to_owned()).spawn(move || {
            receiver.run(|buffer| {
                hasher.update(buffer);
                Ok(())
            });
            hasher
        })?;
        Ok(Self { full, handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn buffers_and_bytes_are_hashed_in_the_order_they_were_added() {
        let mut hash = HashBehind::new(Algorithm::Sha256);
        let mut all = Vec::new();
        let mut buffer = PageBuffer::default();
        for round in 0..=250_u8 {
            let len = usize::from(round) * 40;
            buffer.reset(10_000);
            buffer.push(&vec![round; len]);
            all.extend_from_slice(&buffer);
            buffer = hash.add(buffer);
            if round % 100 == 99 {
                hash.settled().update(b"between");
                all.extend_from_slice(b"between");
            }
        }
        assert_eq!(hash.settled().clone().finish(), Digest::sha256(&all));
        assert_eq!(hash.settled().clone().finish(), Digest::sha256(&all), "settling twice");
    }
}
