//! The progress of a filter, summed over its pieces: blobs, layers, an archive.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::sys::locked;

/// What a filter is doing. Its threads report how far they are.
#[derive(Debug)]
pub(super) struct Work(Mutex<State>);

#[derive(Debug)]
struct State {
    doing: &'static str,
    unit: &'static str,
    pieces: Vec<Piece>,
    by_name: HashMap<String, usize>,
    since: Instant,
    /// Nothing is shown before then.
    not_before: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    done: u64,
    /// Bytes done by an earlier run, which do not count as speed.
    found: u64,
    size: Option<u64>,
    begun: bool,
    ended: bool,
}

/// How far all pieces together are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot {
    /// A word for the activity, or none.
    pub(super) doing: &'static str,
    /// Bytes that are done.
    pub(super) done: u64,
    /// The total in bytes, where known.
    pub(super) total: Option<u64>,
    /// Bytes done by this run.
    pub(super) moved: u64,
    /// Pieces that have ended, and all pieces.
    pub(super) pieces: (usize, usize),
    /// What pieces are called, in the plural.
    pub(super) unit: &'static str,
    /// When the first piece began.
    pub(super) since: Instant,
}

/// A piece of a [`Work`].
#[derive(Clone, Copy, Debug)]
pub(super) struct PieceId(usize);

impl Work {
    pub(super) fn new(unit: &'static str) -> Self {
        let now = Instant::now();
        let (pieces, by_name) = (Vec::new(), HashMap::new());
        Self(Mutex::new(State { doing: "", unit, pieces, by_name, since: now, not_before: now }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }

    /// Announces a piece.
    pub(super) fn expect(&self, name: String, size: Option<u64>) {
        let mut state = self.state();
        let PieceId(id) = state.piece(name);
        state.pieces[id].size = size;
    }

    /// A piece begins, perhaps not for the first time.
    pub(super) fn begin(&self, name: String, size: Option<u64>) -> PieceId {
        let mut state = self.state();
        if !state.pieces.iter().any(|piece| piece.begun) {
            state.since = Instant::now();
        }
        let PieceId(id) = state.piece(name);
        state.pieces[id] = Piece { size, begun: true, ..Piece::default() };
        PieceId(id)
    }

    /// `bytes` of a piece are done.
    pub(super) fn at(&self, PieceId(id): PieceId, bytes: u64) {
        if let Some(piece) = self.state().pieces.get_mut(id) {
            piece.done = bytes;
            piece.found = piece.found.min(bytes);
        }
    }

    /// `bytes` of a piece were done by an earlier run.
    #[cfg(feature = "fetch")]
    pub(super) fn found(&self, PieceId(id): PieceId, bytes: u64) {
        if let Some(piece) = self.state().pieces.get_mut(id) {
            (piece.done, piece.found) = (bytes, bytes);
        }
    }

    /// An earlier run did the whole piece.
    #[cfg(feature = "fetch")]
    pub(super) fn end_found(&self, PieceId(id): PieceId) {
        if let Some(piece) = self.state().pieces.get_mut(id) {
            piece.ended = true;
            piece.done = piece.size.unwrap_or(piece.done);
            piece.found = piece.done;
        }
    }

    /// A piece is done.
    pub(super) fn end(&self, PieceId(id): PieceId) {
        if let Some(piece) = self.state().pieces.get_mut(id) {
            piece.ended = true;
            piece.done = piece.size.unwrap_or(piece.done);
        }
    }

    /// The current work is done, and other work begins, which is not shown before `patience` has passed.
    pub(super) fn then(&self, doing: &'static str, patience: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        state.pieces.clear();
        state.by_name.clear();
        (state.doing, state.since, state.not_before) = (doing, now, now + patience);
    }

    /// Whether it is too early to show anything.
    pub(super) fn is_early(&self) -> bool {
        Instant::now() < self.state().not_before
    }

    /// How far it is; `None` when nothing has begun.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state();
        let pieces = &state.pieces;
        if !pieces.iter().any(|piece| piece.begun) {
            return None;
        }
        let sum = |of: fn(&Piece) -> u64| pieces.iter().map(of).fold(0, u64::saturating_add);
        let mut sizes = pieces.iter().map(|piece| piece.size);
        Some(Snapshot {
            doing: state.doing,
            done: sum(|piece| piece.done),
            total: sizes.try_fold(0u64, |sum, size| Some(sum.saturating_add(size?))),
            moved: sum(|piece| piece.done.saturating_sub(piece.found)),
            pieces: (pieces.iter().filter(|piece| piece.ended).count(), pieces.len()),
            unit: state.unit,
            since: state.since,
        })
    }
}

impl State {
    fn piece(&mut self, name: String) -> PieceId {
        let next = self.pieces.len();
        let id = *self.by_name.entry(name).or_insert(next);
        if id == next {
            self.pieces.push(Piece::default());
        }
        PieceId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up() {
        let work = Work::new("layers");
        assert!(work.snapshot().is_none());
        for (name, size) in [("a", 100), ("b", 200), ("c", 700)] {
            work.expect(name.to_owned(), Some(size));
        }
        assert!(work.snapshot().is_none());
        let (a, b) = (work.begin("a".to_owned(), Some(100)), work.begin("b".to_owned(), Some(200)));
        work.found(a, 60);
        work.at(a, 80);
        work.at(b, 50);
        work.end(b);
        let now = work.snapshot();
        let found = now.map(|now| (now.done, now.total, now.moved, now.pieces));
        assert_eq!(found, Some((280, Some(1000), 220, (1, 3))));
        // Begun again.
        work.at(a, 10);
        assert_eq!(work.snapshot().map(|now| now.moved), Some(200));
        work.begin("d".to_owned(), None);
        assert_eq!(work.snapshot().map(|now| now.total), Some(None));
        work.then("writing", Duration::from_secs(9));
        assert!(work.snapshot().is_none() && work.is_early());
    }
}
