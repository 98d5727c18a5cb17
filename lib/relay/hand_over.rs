//! Hands buffers from one thread to another, and back to be filled again.
//!
//! One lock guards the queue, the returned buffers and how either side ended, so that no side acts on stale knowledge;
//! every change wakes the waiting side. tests/hand_over.rs tries all interleavings.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::{fmt, mem};

use super::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The two ends of a hand-over with at most `bound` items under way: sent, but not yet given back.
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

/// The sending end.
pub struct Sender<T, E> {
    shared: Arc<Shared<T, E>>,
    /// The other side has been told how it ended.
    is_over: bool,
}

/// The receiving end. Dropping it counts as a failure, of which the sender learns.
pub struct Receiver<T, E> {
    shared: Arc<Shared<T, E>>,
    /// The other side has been told how it ended, or it rests.
    is_over: bool,
}

/// Why the other side has stopped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended<E> {
    /// It failed with this error, which is reported once.
    #[error("{0}")]
    Failed(E),
    /// It was dropped before it was done, perhaps by a panic.
    #[error("the other thread stopped")]
    Gone,
}

struct Shared<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
    bound: usize,
}

struct State<T, E> {
    /// Sent, but not yet received.
    waiting: VecDeque<T>,
    /// How many were received, but not yet given back.
    taken: usize,
    /// Given back, but not yet reused.
    returned: Vec<T>,
    /// Nobody has the receiver; the next to send gets it.
    resting: bool,
    sender_end: Option<Result<(), Ended<E>>>,
    receiver_end: Option<Ended<E>>,
}

impl<T, E> Sender<T, E> {
    /// The sender of a new hand-over whose receiver rests.
    #[must_use]
    pub fn with_resting_receiver(bound: usize) -> Self {
        let (sender, receiver) = hand_over(bound);
        receiver.run_and_rest(|_| Ok(()));
        sender
    }

    /// Sends an item and waits until there is room for another; returns one that was given back, if any.
    ///
    /// # Errors
    /// When the receiver has stopped.
    pub fn exchange(&mut self, item: T) -> Result<Option<T>, Ended<E>> {
        self.send(item)?;
        self.returned()
    }

    /// Sends an item without waiting. If the receiver was resting, it is returned: somebody must
    /// [`run`](Receiver::run_and_rest) or drop it.
    ///
    /// # Errors
    /// When the receiver has stopped.
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

    /// Waits until there is room for another item; returns one that was given back, if any.
    ///
    /// # Errors
    /// When the receiver has stopped.
    pub fn returned(&mut self) -> Result<Option<T>, Ended<E>> {
        self.shared.wait(|state| match state.receiver_ended() {
            Some(ended) => Some(Err(ended)),
            None if state.on_their_way() < self.shared.bound => Some(Ok(state.returned.pop())),
            None => None,
        })
    }

    /// Waits until everything that was sent has been given back.
    ///
    /// # Errors
    /// When the receiver has stopped before that.
    pub fn settle(&mut self) -> Result<(), Ended<E>> {
        self.shared.wait(|state| match state.receiver_ended() {
            Some(ended) => Some(Err(ended)),
            None => (state.on_their_way() == 0).then_some(Ok(())),
        })
    }

    /// Ends the hand-over: the receiver ends after what was sent.
    pub fn close(self) {
        self.end(Ok(()));
    }

    /// Ends the hand-over with an error.
    pub fn fail(self, error: E) {
        self.end(Err(Ended::Failed(error)));
    }

    fn end(mut self, how: Result<(), Ended<E>>) {
        self.is_over = true;
        self.shared.change(|state| state.sender_end = Some(how));
    }
}

impl<T, E> Receiver<T, E> {
    /// Waits for an item; `None` when the sender has closed.
    ///
    /// # Errors
    /// When the sender has failed, after everything it sent before that.
    pub fn receive(&mut self) -> Result<Option<T>, Ended<E>> {
        self.shared.wait(|state| match state.take() {
            Some(item) => Some(Ok(Some(item))),
            None => match state.sender_end.as_mut()? {
                Ok(()) => Some(Ok(None)),
                Err(ended) => Some(Err(ended.tell())),
            },
        })
    }

    /// Gives back an item that is not needed any more.
    pub fn give_back(&mut self, item: T) {
        self.shared.change(|state| {
            state.taken -= 1;
            state.returned.push(item);
        });
    }

    /// Does `work` with every item, until the sender closes or there is an error.
    pub fn run(mut self, mut work: impl FnMut(&mut T) -> Result<(), E>) {
        while let Ok(Some(mut item)) = self.receive() {
            match work(&mut item) {
                Ok(()) => self.give_back(item),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Does `work` with the waiting items, then rests.
    pub fn run_and_rest(mut self, mut work: impl FnMut(&mut T) -> Result<(), E>) {
        while let Some(mut item) = self.take_or_rest() {
            match work(&mut item) {
                Ok(()) => self.give_back(item),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// A waiting item. If there is none, the receiver comes to rest before the lock is released, so that whoever sends next
    /// finds it resting.
    fn take_or_rest(&mut self) -> Option<T> {
        let item = self.shared.change(|state| {
            let item = state.take();
            state.resting = item.is_none();
            item
        });
        self.is_over = item.is_none();
        item
    }

    /// Stops receiving with an error.
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
    /// How it ended; an error is reported only once.
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
    /// Changes the state and wakes the other side.
    fn change<R>(&self, change: impl FnOnce(&mut State<T, E>) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `look` finds what it is looking for.
    fn wait<R>(&self, mut look: impl FnMut(&mut State<T, E>) -> Option<R>) -> R {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return found;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Poisoning is ignored: nothing done under the lock can panic half-way.
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
