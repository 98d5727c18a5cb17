//! Waits for a file that another process is writing.

use std::fs::File;
use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::locked;
use super::os;

/// How long to wait if the system reports writes: a network file system does not report those of other machines.
const TOLD: Duration = Duration::from_millis(250);
/// How long to wait if it does not: at first, and at most.
const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_millis(64);

/// Waits for writes to a file, and can be woken.
#[derive(Debug)]
pub struct Watch {
    /// The system's own watch, if supported.
    told: Option<os::OsWatch>,
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Watch {
    /// Watches `file` from now on. If the system does not report writes, or has no watches left, waiting just takes
    /// some time.
    #[must_use]
    pub fn new(file: &File) -> Self {
        let told = os::OsWatch::new(file);
        if let Err(error) = &told {
            let unsupported = error.kind() == io::ErrorKind::Unsupported;
            log::log!(if unsupported { log::Level::Trace } else { log::Level::Debug }, "a file is polled: {error}");
        }
        Self { told: told.ok(), woken: Mutex::new(false), wake: Condvar::new() }
    }

    /// Waits for a write since the last call, for [`Watch::wake`] (which is never missed), or for a while; `round` is
    /// how many times in a row the caller found nothing new.
    pub fn wait(&self, round: u32) {
        if self.told.as_ref().is_some_and(|told| told.wait(TOLD).is_ok()) {
            return;
        }
        let pause = SHORT.saturating_mul(1 << round.min(5)).min(LONG);
        let woken = locked(&self.woken);
        drop(self.wake.wait_timeout_while(woken, pause, |woken| !*woken));
    }

    /// Ends all waiting for good.
    pub fn wake(&self) {
        *locked(&self.woken) = true;
        self.wake.notify_all();
        if let Some(told) = &self.told {
            told.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::io::Write;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_write_that_came_before_the_wait_ends_it() {
        let mut file = tempfile::tempfile().unwrap();
        let watch = Watch::new(&file);
        for _ in 0..3 {
            file.write_all(b"more").unwrap();
            let start = Instant::now();
            watch.wait(0);
            assert!(start.elapsed() < TOLD, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn nothing_written_is_waited_for_and_costs_no_processor_time() {
        let file = tempfile::tempfile().unwrap();
        let watch = Watch::new(&file);
        let start = Instant::now();
        watch.wait(5);
        assert!(start.elapsed() >= LONG, "{:?}", start.elapsed());
    }

    #[test]
    fn who_is_woken_does_not_wait_again() {
        let file = tempfile::tempfile().unwrap();
        let watch = Watch::new(&file);
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| watch.wake());
            scope.spawn(|| (0..100).for_each(|_| watch.wait(9)));
        });
        // Two waits may have begun before.
        assert!(start.elapsed() < TOLD * 8, "{:?}", start.elapsed());
    }
}
