use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sys::locked;

/// Lets the failure of one thread end the downloads and waits of the others.
#[derive(Debug, Default)]
pub struct Cancel {
    cancelled: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    /// Cancels everything that checks this.
    pub fn cancel(&self) {
        *locked(&self.cancelled) = true;
        self.changed.notify_all();
    }

    /// Whether [`Cancel::cancel`] has been called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *locked(&self.cancelled)
    }

    /// Waits for `time`, or until cancelled; returns whether it was cancelled.
    pub fn wait(&self, time: Duration) -> bool {
        let guard = locked(&self.cancelled);
        let waited = self.changed.wait_timeout_while(guard, time, |cancelled| !*cancelled);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
