//! The decoded stream of a layer.
//!
//! The thread that reads a layer decodes and parses it. Hashing and spooling are a separate [`Stage`]: an idle worker
//! takes it over, otherwise the same thread does it at once, while the bytes are still in its processor's cache. So all
//! processors have work until the last layer ends, and bytes move from one to another only when that gains something.

use std::io::{self, BufRead, Read};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::LayerError;
use super::cache::NewEntry;
use super::pool::{Task, Tasks};
use super::spool::Spool;
use crate::image::{Digest, Hasher};
use crate::relay::{Ended, PageBuffer, Receiver, Sender, read_buffered};
use crate::sys::locked;

/// The size of a buffer, small enough to stay in a processor's own cache from one step to the next.
const BUFFER: usize = 256 << 10;
/// The number of buffers per layer.
const BUFFERS: usize = 8;

/// Processes all decoded bytes of a layer, in order, one thread at a time.
struct Stage {
    chunks: Sender<Chunk, LayerError>,
    outputs: Arc<Mutex<Outputs>>,
    helpers: Tasks,
}

/// Decoded bytes on their way. The decoding thread parses them meanwhile, and is done with them before their buffer is
/// reused.
struct Chunk {
    bytes: Arc<PageBuffer>,
    /// Whether it holds members, rather than what follows them.
    keep: bool,
}

/// Where the decoded bytes are kept until the result is written.
#[derive(Debug)]
pub(super) enum Keeper {
    /// For this run: the members only.
    Spool(Spool),
    /// For later runs too: everything.
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

/// What is done with the bytes.
struct Outputs {
    hasher: Option<Hasher>,
    keeper: Option<Keeper>,
}

impl Stage {
    fn new(outputs: Outputs, helpers: Tasks) -> Self {
        let chunks = Sender::with_resting_receiver(BUFFERS);
        Self { chunks, outputs: Arc::new(Mutex::new(outputs)), helpers }
    }

    /// Waits for a buffer to fill.
    fn buffer(&mut self) -> Result<PageBuffer, LayerError> {
        let returned = self.chunks.returned().map_err(failure)?;
        Ok(returned.and_then(|chunk| Arc::into_inner(chunk.bytes)).unwrap_or_default())
    }

    /// Passes on a chunk: to the thread that is processing earlier ones, to an idle worker, or to this thread at once.
    fn add(&mut self, chunk: Chunk) -> Result<(), LayerError> {
        let mut receiver = self.chunks.send(chunk).map_err(failure)?;
        if receiver.is_some() && !self.helpers.add_if_idle(|| take_later(receiver.take(), &self.outputs)) {
            take(receiver, &self.outputs);
        }
        Ok(())
    }
}

fn take_later(receiver: Option<Receiver<Chunk, LayerError>>, outputs: &Arc<Mutex<Outputs>>) -> Task {
    let outputs = Arc::clone(outputs);
    Box::new(move || take(receiver, &outputs))
}

fn take(receiver: Option<Receiver<Chunk, LayerError>>, outputs: &Mutex<Outputs>) {
    if let Some(receiver) = receiver {
        receiver.run_and_rest(|chunk| locked(outputs).take(chunk));
    }
}

impl Outputs {
    fn take(&mut self, chunk: &Chunk) -> Result<(), LayerError> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk.bytes);
        }
        match &mut self.keeper {
            Some(keeper) => keeper.write(&chunk.bytes, chunk.keep),
            None => Ok(()),
        }
    }
}

fn failure(ended: Ended<LayerError>) -> LayerError {
    match ended {
        Ended::Failed(error) => error,
        // It panicked, which has been reported.
        Ended::Gone => LayerError::Cancelled,
    }
}

/// The decoded stream, as the parser reads it. All bytes also go to the stage.
pub(super) struct DecodedStream<R> {
    source: R,
    stage: Option<Stage>,
    cancelled: Arc<AtomicBool>,
    current: Arc<PageBuffer>,
    at: usize,
    keep: bool,
    /// Why it ended before its source.
    given_up: Option<LayerError>,
    /// Set when the source has ended, perhaps with an error.
    end: Option<io::Result<()>>,
}

impl<R: Read> DecodedStream<R> {
    /// A stream of `source`, all bytes of which go to `hasher` and `keeper`, if given.
    pub(super) fn new(
        source: R,
        hasher: Option<Hasher>,
        keeper: Option<Keeper>,
        helpers: Tasks,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        let wanted = hasher.is_some() || keeper.is_some();
        let stage = wanted.then(|| Stage::new(Outputs { hasher, keeper }, helpers));
        Self { source, stage, cancelled, current: Arc::default(), at: 0, keep: true, given_up: None, end: None }
    }

    /// Reads the stream to its end without keeping anything, and returns the length of the rest.
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

    /// The digest and the keeper, as far as they were asked for.
    ///
    /// # Errors
    /// Those of the stage, which take precedence over what the parser reported because of them.
    pub(super) fn finish(self) -> Result<(Option<Digest>, Option<Keeper>), LayerError> {
        if let Some(error) = self.given_up {
            return Err(error);
        }
        let Some(mut stage) = self.stage else { return Ok((None, None)) };
        stage.chunks.settle().map_err(failure)?;
        let mut outputs = locked(&stage.outputs);
        Ok((outputs.hasher.take().map(Hasher::finish), outputs.keeper.take()))
    }

    /// Decodes the next chunk and passes it to the stage; it is empty at the end.
    fn next(&mut self) -> io::Result<()> {
        match self.end.take() {
            None => {}
            Some(ended) => {
                self.end = Some(Ok(()));
                return ended;
            }
        }
        let mut bytes = match self.buffer() {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.give_up(error)),
        };
        bytes.reset(BUFFER);
        self.end = match bytes.fill(&mut self.source) {
            Ok(true) => None,
            Ok(false) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        self.current = Arc::new(bytes);
        let chunk = Chunk { bytes: Arc::clone(&self.current), keep: self.keep };
        let added = self.stage.as_mut().map_or(Ok(()), |stage| stage.add(chunk));
        added.map_err(|error| self.give_up(error))
    }

    /// A buffer for the next chunk; the current one is no longer needed.
    fn buffer(&mut self) -> Result<PageBuffer, LayerError> {
        let current = mem::take(&mut self.current);
        self.at = 0;
        match &mut self.stage {
            _ if self.cancelled.load(Ordering::Relaxed) => Err(LayerError::Cancelled),
            Some(stage) => {
                drop(current);
                stage.buffer()
            }
            None => Ok(Arc::into_inner(current).unwrap_or_default()),
        }
    }

    /// Ends the stream; the reader gets a placeholder, and [`DecodedStream::finish`] the error.
    fn give_up(&mut self, error: LayerError) -> io::Error {
        (self.end, self.given_up) = (Some(Ok(())), Some(error));
        io::Error::other("given up")
    }
}

impl<R: Read> BufRead for DecodedStream<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.current.len() && !matches!(self.end, Some(Ok(()))) {
            self.next()?;
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl<R: Read> Read for DecodedStream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buf)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::super::pool::Pool;
    use super::*;
    use crate::image::Algorithm;

    /// Chunks go to a worker and back as fast as they can, one by one: the one that comes at the very moment when the
    /// worker has nothing left must be somebody's.
    #[test]
    fn what_is_added_while_a_worker_ends_is_not_lost() {
        const CHUNKS: usize = 20_000;
        let pool = Pool::start(1).unwrap();
        let outputs = Outputs { hasher: Some(Hasher::new(Algorithm::Sha256)), keeper: None };
        let mut stage = Stage::new(outputs, pool.tasks());
        for _ in 0..CHUNKS {
            let mut bytes = stage.buffer().unwrap();
            bytes.reset(1);
            bytes.push(&[7]);
            stage.add(Chunk { bytes: Arc::new(bytes), keep: false }).unwrap();
        }
        stage.chunks.settle().unwrap();
        let digest = locked(&stage.outputs).hasher.take().unwrap().finish();
        assert_eq!(digest, Digest::sha256(&[7; CHUNKS]));
    }
}
