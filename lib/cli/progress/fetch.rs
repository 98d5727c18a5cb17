//! What `oci-fetch` shows while layers come in (S7).

use std::sync::Arc;
use std::time::Instant;

use super::terminal;
use super::ticker::show;
use super::work::{PieceId, Work};
use crate::cli::ProgressMode;
use crate::source::{FetchProgress, NoProgress, Outcome, Transfer, TransferMeter};

/// A line on the terminal, plain lines, or nothing.
#[must_use]
pub fn fetch_progress(mode: ProgressMode, tool: &'static str) -> Arc<dyn FetchProgress> {
    let plain = match mode {
        ProgressMode::None => return Arc::new(NoProgress),
        ProgressMode::Plain => Some(tool),
        ProgressMode::Auto => {
            // Before the filters behind have anything to show.
            terminal::take_turn();
            None
        }
    };
    let work = Arc::new(Work::new("blobs"));
    show(Arc::clone(&work), mode, tool);
    Arc::new(Shown { work, plain })
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

struct Shown {
    work: Arc<Work>,
    /// The filter's name, if there is to be a line for each transfer.
    plain: Option<&'static str>,
}

impl FetchProgress for Shown {
    fn expect(&self, transfer: &Transfer) {
        self.work.expect(label(transfer), transfer.size);
    }

    fn start(&self, transfer: &Transfer) -> Box<dyn TransferMeter> {
        let label = label(transfer);
        let piece = self.work.begin(label.clone(), transfer.size);
        let line = self.plain.map(|tool| Line { tool, label, size: transfer.size, since: Instant::now() });
        Box::new(Shower { work: Arc::clone(&self.work), piece, bytes: None, line })
    }
}

struct Shower {
    work: Arc<Work>,
    piece: PieceId,
    /// How many there are; `None` before the first are known.
    bytes: Option<u64>,
    line: Option<Line>,
}

impl TransferMeter for Shower {
    fn at(&mut self, bytes: u64) {
        match self.bytes {
            // What an earlier run left is no speed of this one.
            None => self.work.found(self.piece, bytes),
            Some(_) => self.work.at(self.piece, bytes),
        }
        self.bytes = Some(bytes);
    }

    fn end(self: Box<Self>, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.work.end(self.piece),
            Outcome::Cached => self.work.end_found(self.piece),
            Outcome::Failed => {}
        }
        if let Some(line) = self.line {
            line.end(outcome, self.bytes.unwrap_or(0));
        }
    }
}

struct Line {
    tool: &'static str,
    label: String,
    size: Option<u64>,
    since: Instant,
}

impl Line {
    fn end(self, outcome: Outcome, bytes: u64) {
        let Self { tool, label, size, since } = self;
        let text = match outcome {
            Outcome::Cached => "in the store".to_owned(),
            Outcome::Done => format!("{} bytes in {:.1} s", size.unwrap_or(bytes), since.elapsed().as_secs_f64()),
            Outcome::Failed => format!("failed after {bytes} bytes"),
        };
        terminal::print(&format!("{tool}: {label}: {text}\n"));
    }
}
