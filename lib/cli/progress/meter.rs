//! Shows how far a piece of work is: a layer, a blob.

use std::sync::Arc;
use std::time::Instant;

use super::terminal;
use super::work::{PieceId, Work};
use crate::cli::legible;

/// Reports a piece to its [`Work`] and, with plain lines, prints a line when it ends.
pub(super) struct PieceMeter {
    pub(super) work: Arc<Work>,
    pub(super) piece: PieceId,
    #[cfg_attr(not(feature = "fetch"), allow(dead_code, reason = "layers are told when they end"))]
    pub(super) size: Option<u64>,
    /// Bytes that are done; `None` before the first report.
    pub(super) bytes: Option<u64>,
    label: String,
    /// The filter's name, if there is to be a line.
    plain: Option<&'static str>,
    since: Instant,
}

impl PieceMeter {
    pub(super) fn begin(work: &Arc<Work>, label: String, size: Option<u64>, plain: Option<&'static str>) -> Self {
        let piece = work.begin(label.clone(), size);
        Self { work: Arc::clone(work), piece, size, bytes: None, label, plain, since: Instant::now() }
    }

    /// The piece is done, and has so many bytes.
    pub(super) fn end_with(&self, bytes: u64) {
        self.work.end(self.piece);
        self.print(&format!("{bytes} bytes in {:.1} s", self.since.elapsed().as_secs_f64()));
    }

    pub(super) fn print(&self, text: &str) {
        if let Some(tool) = self.plain {
            terminal::print(&format!("{tool}: {}: {text}\n", legible(&self.label)));
        }
    }
}
