//! What `oci-flatten` shows while it works (S7).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::meter::PieceMeter;
use super::terminal;
use super::ticker::show;
use super::work::Work;
use crate::cli::ProgressMode;
use crate::flatten::{Meter, Progress};
use crate::sys::is_pipe;

/// How long to wait for the next filter to draw before drawing the writing here.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on the terminal, plain lines, or nothing.
#[must_use]
pub fn flatten_progress(mode: ProgressMode, tool: &'static str) -> Option<Arc<dyn Progress>> {
    if mode == ProgressMode::None {
        return None;
    }
    let work = Arc::new(Work::new("layers"));
    show(Arc::clone(&work), mode, tool);
    Some(Arc::new(FlattenDisplay {
        work,
        plain: (mode == ProgressMode::Plain).then_some(tool),
        is_piped: is_pipe(io::stdout()),
    }))
}

#[derive(Debug)]
struct FlattenDisplay {
    work: Arc<Work>,
    /// The filter's name, if there is to be a line for each layer.
    plain: Option<&'static str>,
    /// Whether the next filter may draw what is written.
    is_piped: bool,
}

impl FlattenDisplay {
    fn start(&self, label: &str, size: Option<u64>) -> Box<dyn Meter> {
        Box::new(PieceMeter::begin(&self.work, label.to_owned(), size, self.plain))
    }
}

impl Progress for FlattenDisplay {
    fn expect(&self, label: &str, size: Option<u64>) {
        self.work.expect(label.to_owned(), size);
    }

    fn layer(&self, label: &str, size: Option<u64>) -> Box<dyn Meter> {
        self.start(label, size)
    }

    fn writing(&self, size: u64) -> Box<dyn Meter> {
        self.work.then("writing", if self.is_piped { PATIENCE } else { Duration::ZERO });
        if self.is_piped {
            terminal::release();
        }
        self.start("written", Some(size))
    }
}

impl Meter for PieceMeter {
    fn at(&mut self, bytes: u64) {
        self.work.at(self.piece, bytes);
        self.bytes = Some(bytes);
    }

    fn end(self: Box<Self>) {
        self.end_with(self.bytes.unwrap_or(0));
    }
}
