//! The stages of decoding one layer, each on its own thread: decode, hash, spool and parse.
//!
//! ```text
//!  blob --> decode ---> hash                      buffers go round: a stage that is behind makes the others wait
//!              \----> spool and parse
//! ```

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::spool::Spool;
use crate::image::{Algorithm, Digest, Hasher};

/// Bytes of a buffer. A few of them stay in the processor's caches between stages.
const BUFFER: usize = 256 << 10;
/// Buffers of a layer.
const BUFFERS: usize = 8;

/// Decoded bytes on their way; the buffer goes home when the last stage drops it.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    len: usize,
    home: Sender<Vec<u8>>,
}

impl Chunk {
    fn filled(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Nobody waits for it once the decoder has ended.
        let _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}

/// Takes decoded bytes from `source` until it ends, and sends them to the other stages.
pub(super) struct Decode<R> {
    source: R,
    cancelled: Arc<AtomicBool>,
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    to_parse: SyncSender<io::Result<Arc<Chunk>>>,
    to_hash: Option<SyncSender<Arc<Chunk>>>,
}

/// Makes the stages of a layer. The hash stage is there only when `algorithm` asks for it.
pub(super) fn stages<R: Read>(
    source: R,
    algorithm: Option<Algorithm>,
    cancelled: Arc<AtomicBool>,
) -> (Decode<R>, Option<Hash>, Parse) {
    let (home, free) = channel();
    for _ in 0..BUFFERS {
        // The receiver is at hand.
        let _ = home.send(Vec::new());
    }
    // One place more than there are buffers, for an error: no stage ever waits for a place.
    let (to_parse, parse) = sync_channel(BUFFERS + 1);
    let (to_hash, hash) = algorithm.map(|algorithm| (algorithm, sync_channel(BUFFERS))).map_or_else(
        || (None, None),
        |(algorithm, (to_hash, chunks))| (Some(to_hash), Some(Hash { chunks, hasher: Hasher::new(algorithm) })),
    );
    let decode = Decode { source, cancelled, free, home, to_parse, to_hash };
    (decode, hash, Parse { chunks: parse, current: None, at: 0 })
}

impl<R: Read> Decode<R> {
    /// Runs until the source ends or fails, or nobody listens any more.
    pub(super) fn run(mut self) {
        while let Ok(mut bytes) = self.free.recv() {
            if self.cancelled.load(Ordering::Relaxed) {
                return;
            }
            bytes.resize(BUFFER, 0);
            let (len, end) = self.fill(&mut bytes);
            if len > 0 {
                let chunk = Arc::new(Chunk { bytes, len, home: self.home.clone() });
                if let Some(to_hash) = &self.to_hash {
                    // Its thread ends only after ours.
                    let _ = to_hash.send(Arc::clone(&chunk));
                }
                if self.to_parse.send(Ok(chunk)).is_err() {
                    return;
                }
            }
            match end {
                None => {}
                Some(Ok(())) => return,
                Some(Err(error)) => {
                    let _ = self.to_parse.send(Err(error));
                    return;
                }
            }
        }
    }

    /// Fills the buffer as far as possible; says how far and whether that was the end.
    fn fill(&mut self, bytes: &mut [u8]) -> (usize, Option<io::Result<()>>) {
        let mut len = 0;
        while len < bytes.len() {
            match self.source.read(&mut bytes[len..]) {
                Ok(0) => return (len, Some(Ok(()))),
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (len, Some(Err(error))),
            }
        }
        (len, None)
    }
}

/// Hashes the uncompressed stream.
pub(super) struct Hash {
    chunks: Receiver<Arc<Chunk>>,
    hasher: Hasher,
}

impl Hash {
    /// Runs until the decoder ends.
    pub(super) fn run(mut self) -> Digest {
        for chunk in self.chunks {
            self.hasher.update(chunk.filled());
        }
        self.hasher.finish()
    }
}

/// The decoded stream for the parser.
pub(super) struct Parse {
    chunks: Receiver<io::Result<Arc<Chunk>>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

impl Parse {
    /// The stream as a reader that puts every byte it shows into `spool` first.
    pub(super) fn reader(self, spool: Option<&mut Spool>) -> SpoolingReader<'_> {
        SpoolingReader { parse: self, spool }
    }
}

/// See [`Parse::reader`].
pub(super) struct SpoolingReader<'s> {
    parse: Parse,
    spool: Option<&'s mut Spool>,
}

impl SpoolingReader<'_> {
    /// Reads the stream to its end without keeping anything, and returns how long the rest was.
    pub(super) fn drain(&mut self) -> io::Result<u64> {
        self.spool = None;
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
}

impl BufRead for SpoolingReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Self { parse, spool } = self;
        while parse.current.as_ref().is_none_or(|chunk| parse.at == chunk.len) {
            parse.current = None;
            match parse.chunks.recv() {
                Err(_) => return Ok(&[]),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(chunk)) => {
                    if let Some(spool) = spool {
                        spool.write(chunk.filled()).map_err(io::Error::other)?;
                    }
                    (parse.current, parse.at) = (Some(chunk), 0);
                }
            }
        }
        Ok(parse.current.as_ref().map_or(&[], |chunk| &chunk.filled()[parse.at..]))
    }

    fn consume(&mut self, amount: usize) {
        self.parse.at += amount;
    }
}

impl Read for SpoolingReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let len = available.len().min(buf.len());
        buf[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}
