//! What `oci-fetch` shows while layers come in (S7).

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use indicatif::ProgressBar;

use super::ProgressMode;
use super::progress::{Messages, bar};
use crate::source::{Meter, NoProgress, Outcome, Progress, Transfer};

/// Bars, lines or nothing.
#[must_use]
pub fn fetch_progress(mode: ProgressMode, tool: &'static str) -> Arc<dyn Progress> {
    match mode {
        ProgressMode::None => Arc::new(NoProgress),
        ProgressMode::Plain => Arc::new(Lines(tool)),
        ProgressMode::Auto => Arc::new(Bars),
    }
}

/// `layer 3 1f2e3d4c5b6a`, `config 1f2e3d4c5b6a`, `archive`.
fn label(transfer: &Transfer) -> String {
    let digest = transfer.digest.as_ref().map(|digest| digest.hex().chars().take(12).collect::<String>());
    match (transfer.layer, digest) {
        (Some(layer), Some(digest)) => format!("layer {layer} {digest}"),
        (None, Some(digest)) => format!("config {digest}"),
        _ => "archive".into(),
    }
}

struct Bars;

impl Progress for Bars {
    fn start(&self, transfer: &Transfer) -> Box<dyn Meter> {
        Box::new(Bar { bar: bar(&label(transfer), transfer.size), started: false })
    }
}

struct Bar {
    bar: ProgressBar,
    started: bool,
}

impl Meter for Bar {
    fn at(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        if !self.started {
            // What an earlier run left is no speed of this one.
            self.started = true;
            self.bar.reset_eta();
        }
    }

    fn end(self: Box<Self>, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.bar.finish(),
            Outcome::Cached => self.bar.finish_and_clear(),
            Outcome::Failed => self.bar.abandon(),
        }
    }
}

struct Lines(&'static str);

impl Progress for Lines {
    fn start(&self, transfer: &Transfer) -> Box<dyn Meter> {
        let line = Line { tool: self.0, label: label(transfer), size: transfer.size, bytes: 0, since: Instant::now() };
        Box::new(line)
    }
}

struct Line {
    tool: &'static str,
    label: String,
    size: Option<u64>,
    bytes: u64,
    since: Instant,
}

impl Meter for Line {
    fn at(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    fn end(self: Box<Self>, outcome: Outcome) {
        let Self { tool, label, size, bytes, since } = *self;
        let text = match outcome {
            Outcome::Cached => "in the store".to_owned(),
            Outcome::Done => format!("{} bytes in {:.1} s", size.unwrap_or(bytes), since.elapsed().as_secs_f64()),
            Outcome::Failed => format!("failed after {bytes} bytes"),
        };
        // Nobody may be there to read it.
        let _ = Messages.write_all(format!("{tool}: {label}: {text}\n").as_bytes());
    }
}
