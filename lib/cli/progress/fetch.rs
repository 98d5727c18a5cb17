//! What `oci-fetch` shows while layers arrive (S7).

use std::sync::Arc;

use super::meter::PieceMeter;
use super::terminal;
use super::ticker::show;
use super::work::Work;
use crate::cli::ProgressMode;
use crate::source::{FetchProgress, NoProgress, Outcome, Transfer, TransferMeter};

/// A line on the terminal, plain lines, or nothing.
#[must_use]
pub fn fetch_progress(mode: ProgressMode, tool: &'static str) -> Arc<dyn FetchProgress> {
    let plain = match mode {
        ProgressMode::None => return Arc::new(NoProgress),
        ProgressMode::Plain => Some(tool),
        ProgressMode::Auto => {
            // Before the filters that follow have anything to show.
            terminal::take_turn();
            None
        }
    };
    let work = Arc::new(Work::new("blobs"));
    show(Arc::clone(&work), mode, tool);
    Arc::new(FetchDisplay { work, plain })
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

struct FetchDisplay {
    work: Arc<Work>,
    /// The filter's name, if there is to be a line for each transfer.
    plain: Option<&'static str>,
}

impl FetchProgress for FetchDisplay {
    fn expect(&self, transfer: &Transfer) {
        self.work.expect(label(transfer), transfer.size);
    }

    fn start(&self, transfer: &Transfer) -> Box<dyn TransferMeter> {
        Box::new(PieceMeter::begin(&self.work, label(transfer), transfer.size, self.plain))
    }
}

impl TransferMeter for PieceMeter {
    fn at(&mut self, bytes: u64) {
        match self.bytes {
            // What an earlier run fetched does not count as speed.
            None => self.work.found(self.piece, bytes),
            Some(_) => self.work.at(self.piece, bytes),
        }
        self.bytes = Some(bytes);
    }

    fn end(self: Box<Self>, outcome: Outcome) {
        let bytes = self.bytes.unwrap_or(0);
        match outcome {
            Outcome::Done => self.end_with(self.size.unwrap_or(bytes)),
            Outcome::Cached => {
                self.work.end_found(self.piece);
                self.print("in the store");
            }
            Outcome::Failed => self.print(&format!("failed after {bytes} bytes")),
        }
    }
}
