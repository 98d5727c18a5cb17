//! The thread that runs all connections, and how other threads wait for it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// The thread for all connections of a run. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Runtime {
    handle: Handle,
    /// Changes when the thread has ended.
    ended: watch::Receiver<()>,
    _stop: oneshot::Sender<()>,
}

impl Runtime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (running, ended) = watch::channel(());
        thread::Builder::new().name("http".into()).spawn(move || {
            // Signals the end of the thread, even by a panic.
            let _running = running;
            // Ends when the sender is dropped: nothing is ever sent.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, ended, _stop: stop })
    }

    /// Waits for the result of `future` with a time limit; `None` when the time is up, or the thread has ended.
    pub(super) fn wait<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut ended = self.ended.clone();
        self.handle.block_on(async {
            let (mut done, mut ended) = (pin!(timeout(limit, future)), pin!(ended.changed()));
            poll_fn(|context| match ended.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => done.as_mut().poll(context).map(Result::ok),
            })
            .await
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::future::pending;
    use std::time::Instant;

    use super::*;

    #[test]
    fn nobody_waits_for_a_thread_that_has_ended() {
        let Runtime { handle, mut ended, _stop } = Runtime::start().unwrap();
        drop(_stop);
        handle.block_on(ended.changed()).unwrap_err();
        let (_stop, _) = oneshot::channel();
        let (gone, begin) = (Runtime { handle, ended, _stop }, Instant::now());
        assert_eq!(gone.wait(Duration::from_secs(60), pending::<()>()), None);
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}
