//! The decoded stream of a layer.
//!
//! The thread that reads a layer decodes and parses it. What else is done with the bytes, hashing and spooling, is a
//! [`Stage`] of its own: a worker that has nothing to do takes it over, else the same thread does it at once, while
//! the bytes are still in its processor's cache. So all processors have work until the last layer ends, and bytes go
//! from one to another only when that gains something.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::LayerError;
use super::cache::NewEntry;
use super::pool::{Task, Tasks};
use super::spool::Spool;
use crate::image::{Digest, Hasher};
use crate::relay::PageBuffer;

/// Bytes of a buffer: it stays in a processor's own cache from one step to the next.
const BUFFER: usize = 256 << 10;
/// Buffers of a layer.
const BUFFERS: usize = 8;

/// Decoded bytes on their way; the buffer is used again when the last who looks at them drops it.
#[derive(Debug)]
struct Chunk {
    bytes: PageBuffer,
    recycle: Sender<PageBuffer>,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Nobody waits for it once the reader has ended.
        let _ = self.recycle.send(std::mem::take(&mut self.bytes));
    }
}

/// What is done with all decoded bytes of a layer, in their order, by one thread at a time.
#[derive(Debug)]
pub(super) struct Stage {
    pending: Mutex<Pending>,
    /// Nothing is pending.
    settled: Condvar,
    outputs: Mutex<Outputs>,
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Pending {
    chunks: VecDeque<Piece>,
    /// Somebody runs the stage, or is about to.
    running: bool,
}

#[derive(Debug)]
struct Piece {
    chunk: Arc<Chunk>,
    /// It holds members, or what follows them.
    keep: bool,
}

/// What keeps the decoded bytes until the result is written.
#[derive(Debug)]
pub(super) enum Keeper {
    /// For this run: the members.
    Spool(Spool),
    /// For later runs too: all there is.
    Cache(NewEntry),
}

impl Keeper {
    fn write(&mut self, bytes: &[u8], is_member: bool) -> Result<(), LayerError> {
        match self {
            Self::Spool(spool) if is_member => spool.write(bytes),
            Self::Spool(_) => Ok(()),
            Self::Cache(entry) => entry.write(bytes).map_err(LayerError::Cache),
        }
    }
}

/// Where the bytes go.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) hasher: Option<Hasher>,
    pub(super) keeper: Option<Keeper>,
    /// Why there will be no more.
    error: Option<LayerError>,
}

impl Stage {
    fn new(hasher: Option<Hasher>, keeper: Option<Keeper>) -> Self {
        let outputs = Mutex::new(Outputs { hasher, keeper, error: None });
        let pending = Mutex::new(Pending::default());
        Self { pending, settled: Condvar::new(), outputs, failed: AtomicBool::new(false) }
    }

    /// Adds a piece; says whether the stage must be run now, because nobody does.
    fn push(&self, piece: Piece) -> bool {
        let mut pending = lock(&self.pending);
        pending.chunks.push_back(piece);
        !std::mem::replace(&mut pending.running, true)
    }

    /// Does what is pending. Only for who was told to by [`Stage::push`], or had it handed on.
    pub(super) fn run(&self) {
        let running = Running(self);
        while let Some(Piece { chunk, keep }) = self.next() {
            lock(&self.outputs).take(&chunk.bytes, keep, &self.failed);
        }
        std::mem::forget(running);
    }

    /// The next piece. Where there is none the run ends before the lock goes: what is pushed after that finds nobody who
    /// runs the stage.
    fn next(&self) -> Option<Piece> {
        let mut pending = lock(&self.pending);
        let piece = pending.chunks.pop_front();
        if piece.is_none() {
            pending.running = false;
            self.settled.notify_all();
        }
        piece
    }

    /// Waits until nothing is pending.
    fn settle(&self) {
        let settled = self.settled.wait_while(lock(&self.pending), |pending| pending.running);
        drop(settled.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends a run of a stage that panics: the stage has failed, and nobody may wait for it.
struct Running<'s>(&'s Stage);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.failed.store(true, Ordering::Relaxed);
        let mut pending = lock(&self.0.pending);
        pending.chunks.clear();
        pending.running = false;
        self.0.settled.notify_all();
    }
}

impl Outputs {
    fn take(&mut self, bytes: &[u8], keep: bool, failed: &AtomicBool) {
        if self.error.is_some() {
            return;
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Some(keeper) = &mut self.keeper
            && let Err(error) = keeper.write(bytes, keep)
        {
            self.error = Some(error);
            failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Nothing in here is half-done when a thread panics: what that thread was at has failed anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The decoded stream for the parser. All that it shows goes to the stage.
pub(super) struct Decoded<R> {
    source: R,
    stage: Option<Arc<Stage>>,
    helpers: Tasks,
    cancelled: Arc<AtomicBool>,
    free: Receiver<PageBuffer>,
    recycle: Sender<PageBuffer>,
    current: Option<Arc<Chunk>>,
    at: usize,
    keep: bool,
    /// It was ended before its source.
    given_up: bool,
    /// The source has ended, or with this error.
    end: Option<io::Result<()>>,
}

impl<R: Read> Decoded<R> {
    /// A stream of `source`, each byte of which goes to what is given of `hasher` and `keeper`.
    pub(super) fn new(
        source: R,
        hasher: Option<Hasher>,
        keeper: Option<Keeper>,
        helpers: Tasks,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        let (recycle, free) = channel();
        for _ in 0..BUFFERS {
            // The receiver is at hand.
            let _ = recycle.send(PageBuffer::default());
        }
        let wanted = hasher.is_some() || keeper.is_some();
        let stage = wanted.then(|| Arc::new(Stage::new(hasher, keeper)));
        Self {
            source,
            stage,
            helpers,
            cancelled,
            free,
            recycle,
            current: None,
            at: 0,
            keep: true,
            given_up: false,
            end: None,
        }
    }

    /// Reads the stream to its end without keeping anything, and returns how long the rest was.
    pub(super) fn drain(&mut self) -> io::Result<u64> {
        self.keep = false;
        let mut rest = 0;
        loop {
            let len = self.fill_buf()?.len();
            if len == 0 {
                return Ok(rest);
            }
            rest += len as u64;
            self.consume(len);
        }
    }

    /// The digest of the stream and what keeps it, as far as they were asked for.
    ///
    /// # Errors
    /// The stage's own, which comes before what the parser made of it.
    pub(super) fn finish(mut self) -> Result<(Option<Digest>, Option<Keeper>), LayerError> {
        self.current = None;
        let cancelled = if self.given_up { Err(LayerError::Cancelled) } else { Ok((None, None)) };
        let Some(stage) = self.stage else { return cancelled };
        stage.settle();
        let mut outputs = lock(&stage.outputs);
        if let Some(error) = outputs.error.take() {
            return Err(error);
        }
        if self.given_up || stage.failed.load(Ordering::Relaxed) {
            return Err(LayerError::Cancelled);
        }
        Ok((outputs.hasher.take().map(Hasher::finish), outputs.keeper.take()))
    }

    /// Decodes the next chunk and hands it to the stage; there is none at the end.
    fn next(&mut self) -> io::Result<Option<Arc<Chunk>>> {
        match self.end.take() {
            None => {}
            Some(Ok(())) => {
                self.end = Some(Ok(()));
                return Ok(None);
            }
            Some(Err(error)) => {
                self.end = Some(Ok(()));
                return Err(error);
            }
        }
        let failed = self.stage.as_ref().is_some_and(|stage| stage.failed.load(Ordering::Relaxed));
        // Our own end of the channel keeps it open.
        let buffer = self.free.recv();
        let (false, false, Ok(mut bytes)) = (failed, self.cancelled.load(Ordering::Relaxed), buffer) else {
            // Who reads has nothing to say about this; `finish` has.
            (self.end, self.given_up) = (Some(Ok(())), true);
            return Err(io::Error::other("given up"));
        };
        bytes.reset(BUFFER);
        self.end = match bytes.fill(&mut self.source) {
            Ok(true) => None,
            Ok(false) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        let chunk = Arc::new(Chunk { bytes, recycle: self.recycle.clone() });
        if let Some(stage) = &self.stage
            && stage.push(Piece { chunk: Arc::clone(&chunk), keep: self.keep })
            && !self.helpers.add_if_idle(|| run_later(stage))
        {
            stage.run();
        }
        Ok(Some(chunk))
    }
}

fn run_later(stage: &Arc<Stage>) -> Task {
    let stage = Arc::clone(stage);
    Box::new(move || stage.run())
}

impl<R: Read> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|chunk| self.at == chunk.bytes.len()) {
            self.current = None;
            match self.next()? {
                None => return Ok(&[]),
                Some(chunk) => (self.current, self.at) = (Some(chunk), 0),
            }
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk.bytes[self.at..]))
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let len = available.len().min(buf.len());
        buf[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

    use super::*;
    use crate::image::Algorithm;

    /// Two threads hand a stage to and fro as fast as they can, piece by piece: a piece that is pushed at the very moment
    /// when the run before it ends must be somebody's.
    #[test]
    fn what_is_pushed_while_a_run_ends_is_not_lost() {
        const PIECES: usize = 100_000;
        let stage = Stage::new(Some(Hasher::new(Algorithm::Sha256)), None);
        let (recycle, free) = channel();
        let nobody_comes = || {
            let pending = lock(&stage.pending);
            !pending.chunks.is_empty() && !pending.running
        };
        std::thread::scope(|scope| {
            let (runs, to_run) = channel();
            scope.spawn(|| to_run.into_iter().for_each(|()| stage.run()));
            for at in 0..PIECES {
                let chunk = Arc::new(Chunk { bytes: PageBuffer::from(&[7][..]), recycle: recycle.clone() });
                if stage.push(Piece { chunk, keep: false }) {
                    runs.send(()).unwrap();
                }
                while free.try_recv().is_err() {
                    assert!(!nobody_comes(), "piece {at} is lost");
                }
            }
        });
        let digest = lock(&stage.outputs).hasher.take().unwrap().finish();
        assert_eq!(digest, Digest::sha256(&[7; PIECES]));
    }
}
