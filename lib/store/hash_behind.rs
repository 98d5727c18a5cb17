//! A blob's digest, computed by a thread of its own while the next bytes arrive and are written.

use std::convert::Infallible;
use std::io;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crate::image::{Algorithm, Hasher};
use crate::relay::{PageBuffer, Sender, hand_over};

/// Buffers that go round.
const BUFFERS: usize = 4;

/// Bytes after which a thread is worth while.
const LONG: usize = 256 << 10;

/// The hash of what was added so far.
#[derive(Debug)]
pub(super) struct HashBehind {
    /// What was hashed here; the thread, while there is one, is ahead of it.
    hasher: Hasher,
    thread: Option<Thread>,
    /// Bytes of all buffers.
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

    /// The hasher, once it has seen all that was added. A thread is not needed any more.
    pub(super) fn settled(&mut self) -> &mut Hasher {
        if let Some(Thread { full, handle }) = self.thread.take() {
            full.close();
            self.hasher = handle.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        &mut self.hasher
    }

    /// Adds what `buffer` holds, to be hashed soon; returns a buffer to fill, of any state.
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
            // It panicked, which it says when it is joined.
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
