//! Shows work at intervals, from a thread of its own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::line::line;
use super::rate::Rate;
use super::terminal;
use super::work::Work;
use crate::cli::ProgressMode;

/// How often the line on a terminal is drawn.
const TICK: Duration = Duration::from_millis(200);

/// How often a plain line is written.
const PLAIN: Duration = Duration::from_secs(5);

/// The longest plain line.
const PLAIN_COLUMNS: usize = 200;

/// Shows `work` until [`terminal::clear_progress`] is called.
pub(super) fn show(work: Arc<Work>, mode: ProgressMode, tool: &'static str) {
    let (tick, show): (_, fn(&'static str, &Work, &mut Rate) -> bool) = match mode {
        ProgressMode::None => return,
        ProgressMode::Plain => {
            terminal::stay_plain();
            (PLAIN, print)
        }
        ProgressMode::Auto => (TICK, draw),
    };
    let tick = move || {
        let mut rate = Rate::default();
        loop {
            thread::sleep(tick);
            if !show(tool, &work, &mut rate) {
                return;
            }
        }
    };
    // Without the thread the work gets done all the same.
    if let Err(error) = thread::Builder::new().name("progress".to_owned()).spawn(tick) {
        log::debug!("no progress is shown: {error}");
    }
}

fn draw(tool: &'static str, work: &Work, rate: &mut Rate) -> bool {
    if work.is_early() {
        terminal::release();
        return !terminal::is_closed();
    }
    let Some(now) = work.snapshot() else { return !terminal::is_closed() };
    let speed = rate.at(Instant::now(), now.moved, now.since);
    terminal::draw(|columns| line(tool, &now, speed, columns))
}

fn print(tool: &'static str, work: &Work, rate: &mut Rate) -> bool {
    if let Some(now) = work.snapshot() {
        let speed = rate.at(Instant::now(), now.moved, now.since);
        return terminal::print(&format!("{}\n", line(tool, &now, speed, PLAIN_COLUMNS)));
    }
    !terminal::is_closed()
}
