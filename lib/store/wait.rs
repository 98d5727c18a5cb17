//! Waiting for a lock that another process holds, and saying so (S7).
//!
//! A lock ends with the process that holds it, however that ends, so waiting is right; but whoever waits for long wants
//! to know what for. And whoever may read a file can lock it and keep the lock, so waiting ends when nothing goes on.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How long the log is told alone.
const SILENCE: Duration = Duration::from_secs(5);
/// How often a warning comes after that.
const REMINDER: Duration = Duration::from_secs(60);
/// The longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes a lock by `lock`, which says whether it could; `false` when it could not for as long as `patience` while `progress`
/// stood still. `what` tells what is being waited for, if there is need to wait.
pub(super) fn lock(
    lock: impl Fn() -> io::Result<bool>,
    patience: Duration,
    progress: impl Fn() -> u64,
    what: impl Fn() -> String,
) -> io::Result<bool> {
    let start = Instant::now();
    let (mut pause, mut next) = (Duration::from_millis(5), None);
    let (mut seen, mut since) = (progress(), start);
    loop {
        if lock()? {
            return Ok(true);
        }
        let now = progress();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        if since.elapsed() >= patience {
            return Ok(false);
        }
        match next {
            None => {
                log::info!("{}", what());
                next = Some(SILENCE);
            }
            Some(due) if start.elapsed() >= due => {
                log::warn!("{} ({} s so far)", what(), start.elapsed().as_secs());
                next = Some(due + REMINDER);
            }
            Some(_) => {}
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE);
    }
}
