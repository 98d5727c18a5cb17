//! Writes on another core.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::ext4::write::target::Target;
use crate::relay::{Ended, PageBuffer, Sender, hand_over};
use crate::sys::{locked, start_thread};

/// The number of circulating buffers: this many may be under way when an error comes.
pub(crate) const BUFFERS: usize = 4;

/// A target that a separate thread writes to, so that the next content can be read meanwhile. An error is reported by a
/// later call, with its own offset; everything but [`write_buffer`](Target::write_buffer) waits for earlier writes.
#[derive(Debug)]
pub struct WriteBehind<T> {
    target: Arc<Mutex<T>>,
    /// Removed when this is dropped, which ends the thread.
    full: Option<Sender<(PageBuffer, u64), DeferredError>>,
    thread: Option<JoinHandle<()>>,
}

/// The error of a write that an earlier call began.
#[derive(Debug, thiserror::Error)]
#[error("writing {len} bytes at byte {offset}: {source}")]
pub(crate) struct DeferredError {
    /// The offset in the target, in bytes.
    pub(crate) offset: u64,
    /// The number of bytes to write.
    pub(crate) len: u64,
    pub(crate) source: io::Error,
}

impl<T: Target + Send + 'static> WriteBehind<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(target: T) -> io::Result<Self> {
        let target = Arc::new(Mutex::new(target));
        let (full, receiver) = hand_over(BUFFERS);
        let writer = Arc::clone(&target);
        let thread = start_thread("write", move || {
            receiver.run(|(buffer, offset): &mut (PageBuffer, u64)| {
                let (offset, len) = (*offset, buffer.len() as u64);
                let written = locked(&writer).write_at(buffer, offset);
                buffer.clear();
                written.map_err(|source| DeferredError { offset, len, source })
            });
        })?;
        Ok(Self { target, full: Some(full), thread: Some(thread) })
    }

    /// The target, after all earlier writes.
    fn settled(&mut self) -> io::Result<MutexGuard<'_, T>> {
        self.full.as_mut().map_or(Err(Ended::Gone), Sender::settle).map_err(deferred)?;
        Ok(locked(&self.target))
    }
}

fn deferred(ended: Ended<DeferredError>) -> io::Error {
    match ended {
        Ended::Failed(error) => io::Error::new(error.source.kind(), error),
        Ended::Gone => io::Error::other("the writing thread died"),
    }
}

impl<T: Target + Send + 'static> Target for WriteBehind<T> {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        self.settled()?.write_at(data, offset)
    }

    fn write_buffer(&mut self, buffer: PageBuffer, offset: u64) -> io::Result<PageBuffer> {
        let order = (buffer, offset);
        let returned = self.full.as_mut().map_or(Err(Ended::Gone), |full| full.exchange(order)).map_err(deferred)?;
        Ok(returned.map(|(buffer, _)| buffer).unwrap_or_default())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.settled()?.finish()
    }

    fn clear(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.settled()?.clear(offset, len)
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.settled()?.punch(offset, len)
    }

    fn extend_to(&mut self, len: u64) -> io::Result<()> {
        self.settled()?.extend_to(len)
    }

    fn barrier(&mut self) -> io::Result<()> {
        self.settled()?.barrier()
    }
}

impl<T> Drop for WriteBehind<T> {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = mem::take(&mut self.thread) {
            // If it panicked, that has been reported.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    /// Full beyond 100 bytes.
    struct Small(Vec<u8>);

    impl Target for Small {
        fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
            if offset + data.len() as u64 > 100 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write_at(data, offset)
        }

        fn clear(&mut self, offset: u64, len: u64) -> io::Result<()> {
            Target::clear(&mut self.0, offset, len)
        }

        fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
            self.0.punch(offset, len)
        }

        fn extend_to(&mut self, len: u64) -> io::Result<()> {
            self.0.extend_to(len)
        }

        fn barrier(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn calls_take_effect_in_their_order() {
        let mut target = WriteBehind::new(Small(Vec::new())).unwrap();
        for round in 0..9 {
            let buffer = target.write_buffer(PageBuffer::from(&[round; 10][..]), u64::from(round) * 10).unwrap();
            assert!(buffer.is_empty());
        }
        target.punch(5, 10).unwrap();
        target.write_at(b"end", 88).unwrap();
        let image = &locked(&target.target).0;
        assert_eq!(image[..20], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
        assert_eq!(image[80..], *b"\x08\x08\x08\x08\x08\x08\x08\x08end");
    }

    #[test]
    fn an_error_comes_late_with_its_own_place() {
        let mut target = WriteBehind::new(Small(Vec::new())).unwrap();
        // Which call hears of it depends on how fast the other thread is.
        let written = target.write_buffer(PageBuffer::from(&[1; 20][..]), 90);
        let late = written.and_then(|_| target.barrier()).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::StorageFull);
        let late: DeferredError = late.downcast().unwrap();
        assert_eq!((late.offset, late.len), (90, 20));
    }

    /// Never writes.
    struct Panics;

    impl Target for Panics {
        fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
            panic!("a fault of the target's");
        }

        fn clear(&mut self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn punch(&mut self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn extend_to(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn barrier(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_target_that_panicked() {
        let mut target = WriteBehind::new(Panics).unwrap();
        let buffer = || {
            let mut buffer = PageBuffer::with_capacity(10);
            buffer.push(&[1; 10]);
            buffer
        };
        let written = (0..5).map(|_| target.write_buffer(buffer(), 0)).find_map(Result::err);
        let first = written.map_or_else(|| target.barrier(), Err).unwrap_err();
        assert!(first.to_string().contains("the writing thread died"), "{first}");
        for _ in 0..2 {
            target.barrier().unwrap_err();
            target.finish().unwrap_err();
            target.write_buffer(buffer(), 0).unwrap_err();
        }
    }
}
