//! Hashes data on all processors, and delivers the hashes in the order of the blocks.

use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::tree::{BlockHasher, HashTree, Salt};
use super::{BLOCK, BLOCK_BYTES, Hash};

/// The number of bytes that a processor takes at once.
const PIECE: u64 = 1 << 20;
/// The number of pieces per processor that wait to be hashed, or for their turn afterwards.
const AHEAD: usize = 4;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The data to hash.
pub trait DataDevice: Sync {
    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// As the underlying file reports them, or when it ends early.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// The next range of bytes from `offset` up to `end` that may contain anything but zeros; `None` if everything up to
    /// `end` reads as zeros.
    ///
    /// # Errors
    /// As the underlying file reports them.
    fn next_data(&self, offset: u64, end: u64) -> io::Result<Option<Range<u64>>>;
}

/// Hashes `data_blocks` blocks of `data` and returns the root hash. `sink` gets the blocks of the tree: the number of the
/// block, counted from the start of the tree, its bytes, and how many times it is repeated; in order within a level.
///
/// # Errors
/// Those of `data` and of `sink`, and when a thread cannot be started.
pub fn hash(
    data: &impl DataDevice,
    data_blocks: u64,
    salt: &Salt,
    sink: impl FnMut(u64, &[u8; BLOCK], u64) -> io::Result<()>,
) -> io::Result<Hash> {
    let hasher = BlockHasher::new(salt);
    let zero = hasher.hash(&ZEROS);
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers =
            (0..processors).map(|_| Worker::spawn(scope, data, &hasher, zero)).collect::<io::Result<Vec<_>>>()?;
        let mut tree = HashTree::new(salt, data_blocks, sink);
        let mut waiting = VecDeque::new();
        let mut turns = (0..processors).cycle();
        let mut pieces = Pieces { data, at: 0, end: data_blocks * BLOCK_BYTES, known: 0..0 };
        loop {
            let next = pieces.next()?;
            match next {
                Some(Piece::Zeros(blocks)) => waiting.push_back(Due::Zeros(blocks)),
                Some(Piece::Data(range)) => {
                    let worker = turns.next().unwrap_or(0);
                    // A worker lives until its orders end.
                    let _ = workers[worker].orders.send(range);
                    waiting.push_back(Due::From(worker));
                }
                None if waiting.is_empty() => return tree.finish(),
                None => {}
            }
            while waiting.len() > processors * AHEAD || (pieces.is_at_end() && !waiting.is_empty()) {
                match waiting.pop_front() {
                    Some(Due::Zeros(blocks)) => tree.push(&zero, blocks)?,
                    Some(Due::From(worker)) => {
                        let lost = || Err(io::Error::other("a hashing thread died"));
                        for hash in workers[worker].hashes.recv().unwrap_or_else(|_| lost())? {
                            tree.push(&hash, 1)?;
                        }
                    }
                    None => break,
                }
            }
        }
    })
}

/// What is to be added to the tree next.
enum Due {
    /// This many blocks of zeros.
    Zeros(u64),
    /// The hashes of a piece from this worker.
    From(usize),
}

/// A thread that hashes one piece after the other.
struct Worker {
    orders: SyncSender<Range<u64>>,
    hashes: Receiver<io::Result<Vec<Hash>>>,
}

impl Worker {
    fn spawn<'scope, D: DataDevice>(
        scope: &'scope thread::Scope<'scope, '_>,
        data: &'scope D,
        hasher: &BlockHasher,
        zero: Hash,
    ) -> io::Result<Self> {
        // Each channel can hold everything that is due from one worker, so that there is no deadlock.
        let (orders, taken) = sync_channel::<Range<u64>>(AHEAD + 1);
        let (done, hashes) = sync_channel(AHEAD + 1);
        let hasher = hasher.clone();
        thread::Builder::new().name("verity".to_owned()).spawn_scoped(scope, move || {
            let mut buffer = Vec::new();
            for range in taken {
                buffer.resize(usize::try_from(range.end - range.start).unwrap_or(0), 0);
                let hashes = data.read_at(&mut buffer, range.start).map(|()| {
                    let hash = |block: &[u8]| if *block == ZEROS { zero } else { hasher.hash(block) };
                    buffer.chunks_exact(BLOCK).map(hash).collect()
                });
                if done.send(hashes).is_err() {
                    return; // another piece has failed
                }
            }
        })?;
        Ok(Self { orders, hashes })
    }
}

enum Piece {
    Zeros(u64),
    Data(Range<u64>),
}

/// Cuts data into pieces of whole blocks.
struct Pieces<'d, D> {
    data: &'d D,
    at: u64,
    end: u64,
    /// A range of data that has not been handed out completely.
    known: Range<u64>,
}

impl<D: DataDevice> Pieces<'_, D> {
    fn next(&mut self) -> io::Result<Option<Piece>> {
        if self.is_at_end() {
            return Ok(None);
        }
        if self.known.end <= self.at {
            let next = self.data.next_data(self.at, self.end)?.unwrap_or(self.end..self.end);
            let start = next.start.clamp(self.at, self.end) / BLOCK_BYTES * BLOCK_BYTES;
            let end = next.end.clamp(start, self.end).next_multiple_of(BLOCK_BYTES);
            self.known = start..end.max(if start < self.end { start + BLOCK_BYTES } else { self.end });
        }
        if self.at < self.known.start {
            let blocks = (self.known.start - self.at) / BLOCK_BYTES;
            self.at = self.known.start;
            return Ok(Some(Piece::Zeros(blocks)));
        }
        let range = self.at..self.known.end.min(self.at + PIECE);
        self.at = range.end;
        Ok(Some(Piece::Data(range)))
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.end
    }
}
