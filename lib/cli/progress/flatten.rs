//! What `oci-flatten` shows while it works (S7).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::terminal;
use super::ticker::show;
use super::work::{PieceId, Work};
use crate::cli::{ProgressMode, escape};
use crate::flatten::{Meter, Progress};

/// How long somebody behind has to begin drawing what is written, before it is drawn here.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on the terminal, plain lines, or nothing. `piped` says that somebody behind may draw what is written.
#[must_use]
pub fn flatten_progress(mode: ProgressMode, tool: &'static str, piped: bool) -> Option<Arc<dyn Progress>> {
    if mode == ProgressMode::None {
        return None;
    }
    let work = Arc::new(Work::new("layers"));
    show(Arc::clone(&work), mode, tool);
    Some(Arc::new(Shown { work, plain: (mode == ProgressMode::Plain).then_some(tool), piped }))
}

#[derive(Debug)]
struct Shown {
    work: Arc<Work>,
    /// The filter's name, if there is to be a line for each layer.
    plain: Option<&'static str>,
    piped: bool,
}

impl Shown {
    fn start(&self, label: &str, size: Option<u64>) -> Box<dyn Meter> {
        let piece = self.work.begin(label.to_owned(), size);
        let line = self.plain.map(|tool| Line { tool, label: label.to_owned(), since: Instant::now() });
        Box::new(Shower { work: Arc::clone(&self.work), piece, bytes: 0, line })
    }
}

impl Progress for Shown {
    fn expect(&self, label: &str, size: Option<u64>) {
        self.work.expect(label.to_owned(), size);
    }

    fn layer(&self, label: &str, size: Option<u64>) -> Box<dyn Meter> {
        self.start(label, size)
    }

    fn writing(&self, size: u64) -> Box<dyn Meter> {
        self.work.then("writing", if self.piped { PATIENCE } else { Duration::ZERO });
        if self.piped {
            terminal::release();
        }
        self.start("written", Some(size))
    }
}

struct Shower {
    work: Arc<Work>,
    piece: PieceId,
    bytes: u64,
    line: Option<Line>,
}

impl Meter for Shower {
    fn at(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.work.at(self.piece, bytes);
    }

    fn end(self: Box<Self>) {
        self.work.end(self.piece);
        if let Some(Line { tool, label, since }) = self.line {
            let (label, bytes, seconds) = (escape(label.as_bytes()), self.bytes, since.elapsed().as_secs_f64());
            terminal::print(&format!("{tool}: {label}: {bytes} bytes in {seconds:.1} s\n"));
        }
    }
}

struct Line {
    tool: &'static str,
    label: String,
    since: Instant,
}
