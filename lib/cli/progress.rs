//! The terminal, shared by progress bars and messages (S7).

use std::io::{self, Write};
use std::sync::OnceLock;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bars of this process, once there are some: messages go above them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// A bar for something of `total` bytes, known or not.
pub(super) fn bar(label: &str, total: Option<u64>) -> ProgressBar {
    let bars = BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
    let (bar, template) = match total {
        Some(total) => {
            let template = "{prefix:20} {bar:24} {binary_bytes:>10} of {binary_total_bytes:10} {binary_bytes_per_sec:>12} {eta:>4}";
            (ProgressBar::new(total), template)
        }
        None => (ProgressBar::no_length(), "{prefix:20} {spinner} {binary_bytes:>10} {binary_bytes_per_sec:>12}"),
    };
    // The templates are constants, so they are right; a plain bar would do too.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bars.add(bar.with_style(style).with_prefix(super::escape(label.as_bytes())));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// Takes all bars off the terminal, for good.
pub fn clear_progress() {
    if let Some(bars) = BARS.get() {
        // A terminal that is gone needs no clearing.
        let _ = bars.clear();
        bars.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// Standard error for messages, which must not land in the middle of a bar.
#[derive(Debug)]
pub(super) struct Messages;

impl Write for Messages {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write_all(text).map(|()| text.len());
        match BARS.get() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
