//! Buffers from one thread to another, and back to be filled again.
//!
//! One lock guards the queue, what has come back, and how either side ended, so that nobody can act on what is no longer
//! true; whoever changes something wakes whoever waits. tests/hand_over.rs tries all interleavings of it.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::{fmt, mem};

use super::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The two ends of a hand-over in which at most `bound` items are on their way: sent, and not yet given back.
#[must_use]
pub fn hand_over<T, E>(bound: usize) -> (Sender<T, E>, Receiver<T, E>) {
    let state = State {
        waiting: VecDeque::new(),
        taken: 0,
        returned: Vec::new(),
        resting: false,
        sender_end: None,
        receiver_end: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), bound: bound.max(1) });
    let receiver = Receiver { shared: Arc::clone(&shared), is_over: false };
    (Sender { shared, is_over: false }, receiver)
}

/// The end that items come from.
pub struct Sender<T, E> {
    shared: Arc<Shared<T, E>>,
    /// How it ended has been said.
    is_over: bool,
}

/// The end that items go to. Dropped, it has failed: the sender hears of it.
pub struct Receiver<T, E> {
    shared: Arc<Shared<T, E>>,
    /// How it ended has been said, or it rests.
    is_over: bool,
}

/// Why the other side will do no more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended<E> {
    /// This went wrong; it is said once.
    #[error("{0}")]
    Failed(E),
    /// It was dropped before it was done, by a panic perhaps.
    #[error("the other thread stopped")]
    Gone,
}

struct Shared<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
    bound: usize,
}

struct State<T, E> {
    /// Sent, and not yet received.
    waiting: VecDeque<T>,
    /// Received, and not yet given back.
    taken: usize,
    /// Given back, and not yet taken for the next.
    returned: Vec<T>,
    /// Nobody has the receiver; who sends gets it.
    resting: bool,
    sender_end: Option<Result<(), Ended<E>>>,
    receiver_end: Option<Ended<E>>,
}

impl<T, E> Sender<T, E> {
    /// The sender of a hand-over whose receiver rests.
    #[must_use]
    pub fn with_resting_receiver(bound: usize) -> Self {
        let (sender, receiver) = hand_over(bound);
        receiver.run_and_rest(|_| Ok(()));
        sender
    }

    /// Sends an item, and waits for room for another one; returns one that was given back, if there is any.
    ///
    /// # Errors
    /// When nobody receives any more.
    pub fn exchange(&mut self, item: T) -> Result<Option<T>, Ended<E>> {
        self.send(item)?;
        self.returned()
    }

    /// Sends an item, and does not wait. If the receiver rests, here it is: somebody must let it
    /// [`run`](Receiver::run_and_rest), or drop it.
    ///
    /// # Errors
    /// When nobody receives any more.
    pub fn send(&mut self, item: T) -> Result<Option<Receiver<T, E>>, Ended<E>> {
        let wakes = self.shared.change(|state| match state.receiver_ended() {
            Some(ended) => Err(ended),
            None => {
                state.waiting.push_back(item);
                Ok(mem::take(&mut state.resting))
            }
        })?;
        Ok(wakes.then(|| Receiver { shared: Arc::clone(&self.shared), is_over: false }))
    }

    /// Waits until there is room for another item; returns one that was given back, if there is any.
    ///
    /// # Errors
    /// When nobody receives any more.
    pub fn returned(&mut self) -> Result<Option<T>, Ended<E>> {
        self.shared.wait(|state| match state.receiver_ended() {
            Some(ended) => Some(Err(ended)),
            None if state.on_their_way() < self.shared.bound => Some(Ok(state.returned.pop())),
            None => None,
        })
    }

    /// Waits until all that was sent was given back.
    ///
    /// # Errors
    /// When it was not, and nobody receives any more.
    pub fn settle(&mut self) -> Result<(), Ended<E>> {
        self.shared.wait(|state| match state.receiver_ended() {
            Some(ended) => Some(Err(ended)),
            None => (state.on_their_way() == 0).then_some(Ok(())),
        })
    }

    /// Nothing more comes: the receiver ends after what was sent.
    pub fn close(self) {
        self.end(Ok(()));
    }

    /// Nothing more comes, for this reason.
    pub fn fail(self, error: E) {
        self.end(Err(Ended::Failed(error)));
    }

    fn end(mut self, how: Result<(), Ended<E>>) {
        self.is_over = true;
        self.shared.change(|state| state.sender_end = Some(how));
    }
}

impl<T, E> Receiver<T, E> {
    /// Waits for an item; there is none when the sender has closed.
    ///
    /// # Errors
    /// When the sender has failed, after all that it sent before.
    pub fn receive(&mut self) -> Result<Option<T>, Ended<E>> {
        self.shared.wait(|state| match state.take() {
            Some(item) => Some(Ok(Some(item))),
            None => match state.sender_end.as_mut()? {
                Ok(()) => Some(Ok(None)),
                Err(ended) => Some(Err(ended.tell())),
            },
        })
    }

    /// Gives an item back that is not needed any more.
    pub fn give_back(&mut self, item: T) {
        self.shared.change(|state| {
            state.taken -= 1;
            state.returned.push(item);
        });
    }

    /// Does `work` with all that comes, until nothing more does or an error ends it.
    pub fn run(mut self, mut work: impl FnMut(&mut T) -> Result<(), E>) {
        while let Ok(Some(mut item)) = self.receive() {
            match work(&mut item) {
                Ok(()) => self.give_back(item),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Does `work` with what waits, and rests when there is nothing.
    pub fn run_and_rest(mut self, mut work: impl FnMut(&mut T) -> Result<(), E>) {
        while let Some(mut item) = self.take_or_rest() {
            match work(&mut item) {
                Ok(()) => self.give_back(item),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// An item that waits. Where there is none the receiver rests before the lock goes: who sends after that finds it
    /// resting.
    fn take_or_rest(&mut self) -> Option<T> {
        let item = self.shared.change(|state| {
            let item = state.take();
            state.resting = item.is_none();
            item
        });
        self.is_over = item.is_none();
        item
    }

    /// Nothing more is received, for this reason.
    pub fn fail(mut self, error: E) {
        self.end(Ended::Failed(error));
    }

    fn end(&mut self, how: Ended<E>) {
        self.is_over = true;
        self.shared.change(|state| state.receiver_end = Some(how));
    }
}

impl<T, E> Drop for Sender<T, E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.change(|state| state.sender_end = Some(Err(Ended::Gone)));
        }
    }
}

impl<T, E> Drop for Receiver<T, E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Ended::Gone);
        }
    }
}

impl<E> Ended<E> {
    /// Says it; the error only once.
    fn tell(&mut self) -> Self {
        mem::replace(self, Self::Gone)
    }
}

impl<T, E> State<T, E> {
    fn on_their_way(&self) -> usize {
        self.waiting.len() + self.taken
    }

    fn take(&mut self) -> Option<T> {
        let item = self.waiting.pop_front()?;
        self.taken += 1;
        Some(item)
    }

    fn receiver_ended(&mut self) -> Option<Ended<E>> {
        self.receiver_end.as_mut().map(Ended::tell)
    }
}

impl<T, E> Shared<T, E> {
    /// Changes the state, and wakes the other side.
    fn change<R>(&self, change: impl FnOnce(&mut State<T, E>) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `look` finds what it looks for.
    fn wait<R>(&self, mut look: impl FnMut(&mut State<T, E>) -> Option<R>) -> R {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return found;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing that is done under the lock panics half-way.
    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> fmt::Debug for Sender<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl<T, E> fmt::Debug for Receiver<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}
