//! What `oci-flatten` shows while it works (S7).

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use indicatif::ProgressBar;

use super::ProgressMode;
use super::progress::{Messages, bar};
use crate::flatten::{Meter, Progress};

/// Bars, lines or nothing. Of bars, those of layers or of writing may be unwanted: the filters before and behind draw
/// on the same terminal.
#[must_use]
pub fn flatten_progress(
    mode: ProgressMode,
    tool: &'static str,
    layers: bool,
    writing: bool,
) -> Option<Arc<dyn Progress>> {
    match mode {
        ProgressMode::None => None,
        ProgressMode::Plain => Some(Arc::new(Lines(tool))),
        ProgressMode::Auto => Some(Arc::new(Bars { layers, writing })),
    }
}

#[derive(Debug)]
struct Bars {
    layers: bool,
    writing: bool,
}

impl Progress for Bars {
    fn layer(&self, label: &str, size: Option<u64>) -> Box<dyn Meter> {
        Box::new(Bar(self.layers.then(|| bar(label, size))))
    }

    fn writing(&self, size: u64) -> Box<dyn Meter> {
        Box::new(Bar(self.writing.then(|| bar("writing", Some(size)))))
    }
}

struct Bar(Option<ProgressBar>);

impl Meter for Bar {
    fn at(&mut self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }

    fn end(mut self: Box<Self>) {
        if let Some(bar) = self.0.take() {
            bar.finish();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.abandon();
        }
    }
}

#[derive(Debug)]
struct Lines(&'static str);

impl Lines {
    fn start(&self, label: &str) -> Box<dyn Meter> {
        Box::new(Line { tool: self.0, label: label.to_owned(), bytes: 0, since: Instant::now() })
    }
}

impl Progress for Lines {
    fn layer(&self, label: &str, _: Option<u64>) -> Box<dyn Meter> {
        self.start(label)
    }

    fn writing(&self, _: u64) -> Box<dyn Meter> {
        self.start("written")
    }
}

struct Line {
    tool: &'static str,
    label: String,
    bytes: u64,
    since: Instant,
}

impl Meter for Line {
    fn at(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    fn end(self: Box<Self>) {
        let Self { tool, label, bytes, since } = *self;
        let label = super::escape(label.as_bytes());
        let text = format!("{tool}: {label}: {bytes} bytes in {:.1} s\n", since.elapsed().as_secs_f64());
        // Nobody may be there to read it.
        let _ = Messages.write_all(text.as_bytes());
    }
}
