//! Waits for a lock that another process holds, and says so (S7).
//!
//! A lock is released when its process ends, in whatever way, so waiting is right; but the user wants to know what a long
//! wait is for. And anybody who may read a file can lock it for ever, so waiting ends when nothing progresses.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Before this time has passed, the wait is only logged.
const SILENCE: Duration = Duration::from_secs(5);
/// The time between warnings after that.
const REMINDER: Duration = Duration::from_secs(60);
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Calls `lock` until it returns `true`; returns `false` if it has not done so while `progress` did not change for
/// `patience`. `what` describes what is being waited for, and is called only if there is a wait.
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
