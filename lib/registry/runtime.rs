//! The thread on which connections live, and how others wait for what happens there.

use std::future::Future;
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A thread for all connections of a run. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Runtime {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Runtime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("http".into()).spawn(move || {
            // Ends by the sender's end: nothing is ever sent.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Waits for what `future` brings, at most so long; `None` when the time is up.
    pub(super) fn wait<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        self.handle.block_on(async { timeout(limit, future).await.ok() })
    }
}
