//! Writing on another core.

use std::io;
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::ext4::write::target::Target;
use crate::relay::PageBuffer;

/// Buffers that wait to be written.
pub(crate) const QUEUE: usize = 2;

/// A target that a thread of its own writes to, so that the next content is read meanwhile. An error comes with a
/// later call, and with its own place; everything but [`write_buffer`](Target::write_buffer) waits for what was begun before.
#[derive(Debug)]
pub struct WriteBehind<T> {
    shared: Arc<Shared<T>>,
    /// Gone when this is dropped, which ends the thread.
    orders: Option<SyncSender<(PageBuffer, u64)>>,
    spare: Receiver<PageBuffer>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<T> {
    target: Mutex<T>,
    progress: Mutex<Progress>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Buffers that were handed over and are not yet written.
    begun: usize,
    error: Option<DeferredError>,
    /// The thread panicked: what was begun stays so.
    dead: bool,
}

/// An error of a write that was begun by an earlier call.
#[derive(Debug, thiserror::Error)]
#[error("writing {len} bytes at byte {offset}: {source}")]
pub(crate) struct DeferredError {
    /// Byte offset in the target.
    pub(crate) offset: u64,
    /// Bytes that were to be written.
    pub(crate) len: u64,
    pub(crate) source: io::Error,
}

impl<T: Target + Send + 'static> WriteBehind<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn new(target: T) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            progress: Mutex::new(Progress::default()),
            idle: Condvar::new(),
        });
        let (orders, taken) = sync_channel::<(PageBuffer, u64)>(QUEUE);
        let (done, spare) = channel();
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("write".to_owned()).spawn(move || {
            for (mut buffer, offset) in taken {
                writer.write(&buffer, offset);
                buffer.clear();
                // Nobody wants it once the image is whole.
                let _ = done.send(buffer);
            }
        })?;
        Ok(Self { shared, orders: Some(orders), spare, thread: Some(thread) })
    }

    /// The target, when all that was begun is written.
    fn settled(&mut self) -> io::Result<MutexGuard<'_, T>> {
        let busy = |progress: &mut Progress| progress.begun > 0 && progress.error.is_none() && !progress.dead;
        let mut progress = wait(self.shared.idle.wait_while(lock(&self.shared.progress), busy));
        if let Some(late) = progress.error.take() {
            return Err(io::Error::new(late.source.kind(), late));
        }
        if progress.dead {
            return Err(dead());
        }
        drop(progress);
        Ok(lock(&self.shared.target))
    }
}

impl<T: Target> Shared<T> {
    /// After an error nothing more is written.
    fn write(&self, buffer: &[u8], offset: u64) {
        let mut begun = Begun { shared: self, offset, len: buffer.len() as u64, written: None };
        let failed = lock(&self.progress).error.is_some();
        begun.written = Some(if failed { Ok(()) } else { lock(&self.target).write_at(buffer, offset) });
    }
}

/// A write that was begun. Whatever becomes of it, whoever waits for it hears of it.
struct Begun<'s, T> {
    shared: &'s Shared<T>,
    offset: u64,
    len: u64,
    /// None when the target panicked.
    written: Option<io::Result<()>>,
}

impl<T> Drop for Begun<'_, T> {
    fn drop(&mut self) {
        let mut progress = lock(&self.shared.progress);
        progress.begun -= 1;
        progress.dead |= self.written.is_none();
        if let Err(source) = self.written.take().unwrap_or_else(|| Err(dead())) {
            progress.error = Some(DeferredError { offset: self.offset, len: self.len, source });
        }
        self.shared.idle.notify_all();
    }
}

fn dead() -> io::Error {
    io::Error::other("the writing thread died")
}

impl<T: Target + Send + 'static> Target for WriteBehind<T> {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        self.settled()?.write_at(data, offset)
    }

    fn write_buffer(&mut self, buffer: PageBuffer, offset: u64) -> io::Result<PageBuffer> {
        let mut progress = lock(&self.shared.progress);
        if let Some(late) = progress.error.take() {
            return Err(io::Error::new(late.source.kind(), late));
        }
        if progress.dead {
            return Err(dead());
        }
        progress.begun += 1;
        drop(progress);
        let order = self.orders.as_ref().map(|orders| orders.send((buffer, offset)));
        match order {
            Some(Ok(())) => Ok(self.spare.try_recv().unwrap_or_default()),
            _ => Err(dead()),
        }
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
        self.orders = None;
        if let Some(thread) = mem::take(&mut self.thread) {
            // It died of a panic that was reported already.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    wait(mutex.lock())
}

/// A thread that panicked leaves its mark in what it did not get to: the image is never reported whole.
fn wait<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

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
        let image = &lock(&target.shared.target).0;
        assert_eq!(image[..20], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
        assert_eq!(image[80..], *b"\x08\x08\x08\x08\x08\x08\x08\x08end");
    }

    #[test]
    fn an_error_comes_late_with_its_own_place() {
        let mut target = WriteBehind::new(Small(Vec::new())).unwrap();
        target.write_buffer(PageBuffer::from(&[1; 20][..]), 90).unwrap();
        let late = target.barrier().unwrap_err();
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
