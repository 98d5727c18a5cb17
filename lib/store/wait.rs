//! Waiting for a lock that another process holds, and saying so (S7).
//!
//! A lock ends with the process that holds it, however that ends, so waiting is right; but whoever waits for long wants
//! to know what for.

use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::sys::try_lock;

/// How long the log is told alone.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a warning comes after that.
const REMINDER: Duration = Duration::from_secs(60);
/// The longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Locks `file`, alone; `what` tells what is being waited for, if there is need to wait.
pub(super) fn lock(file: &File, what: impl Fn() -> String) -> io::Result<()> {
    let start = Instant::now();
    let (mut pause, mut next) = (Duration::from_millis(5), None);
    loop {
        if try_lock(file)? {
            return Ok(());
        }
        match next {
            None => {
                log::info!("{}", what());
                next = Some(PATIENCE);
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
