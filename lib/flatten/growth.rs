//! Files that grow while they are read (M4).

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::sys::{Watch, locked};

/// A file that a layer's bytes arrive in.
#[derive(Debug)]
pub(super) struct Growth {
    pub(super) file: File,
    /// The final size in bytes.
    pub(super) size: u64,
    state: Mutex<State>,
    watch: Watch,
    cancelled: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Growing,
    /// All bytes are there.
    Whole,
    /// No more bytes will come.
    Ended,
}

/// What to expect at the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// More bytes may have come, or may still come.
    Perhaps,
    /// The file is complete.
    All,
    /// Nobody needs the file any more.
    GivenUp,
}

impl Growth {
    /// A file that will grow to `size` bytes, unless `cancelled` is set.
    pub(super) fn new(file: File, size: u64, cancelled: Arc<AtomicBool>) -> Self {
        let watch = Watch::new(&file);
        Self { file, size, state: Mutex::new(State::Growing), watch, cancelled }
    }

    /// All bytes are there.
    pub(super) fn whole(&self) {
        self.set(State::Whole);
    }

    /// No more bytes will come, if the file is not complete yet.
    pub(super) fn end(&self) {
        self.set(State::Ended);
    }

    /// Whether nobody needs the file any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.known() == More::GivenUp
    }

    /// Waits a while for more bytes; `round` is the number of earlier waits without any.
    pub(super) fn wait(&self, round: u32) -> More {
        self.watch.wait(round);
        self.known()
    }

    fn known(&self) -> More {
        match *locked(&self.state) {
            _ if self.cancelled.load(Ordering::Relaxed) => More::GivenUp,
            State::Growing => More::Perhaps,
            State::Whole => More::All,
            State::Ended => More::GivenUp,
        }
    }

    fn set(&self, state: State) {
        let mut known = locked(&self.state);
        if *known == State::Growing {
            *known = state;
        }
        drop(known);
        self.watch.wake();
    }
}
