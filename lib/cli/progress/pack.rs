//! What `tar2ext4` shows while it packs (S7).

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use super::terminal;
use super::ticker::show;
use super::work::{PieceId, Work};
use crate::cli::ProgressMode;
use crate::sys::WaitingReader;

/// The tar as it is read. It is shown from its first byte on, when the filters before it have had their turns.
#[derive(Debug)]
pub struct WatchedInput {
    file: WaitingReader<File>,
    size: Option<u64>,
    count: u64,
    work: Arc<Work>,
    piece: Option<PieceId>,
}

impl WatchedInput {
    /// Shows progress as `file` is read.
    #[must_use]
    pub fn new(file: File, mode: ProgressMode, tool: &'static str) -> Self {
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
        let work = Arc::new(Work::new("archives"));
        show(Arc::clone(&work), mode, tool);
        Self { file: WaitingReader(file), size, count: 0, work, piece: None }
    }
}

impl Read for WatchedInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.count = self.count.saturating_add(length as u64);
        let piece = *self.piece.get_or_insert_with(|| self.work.begin("archive".to_owned(), self.size));
        self.work.at(piece, self.count);
        Ok(length)
    }
}

/// With `--progress plain`, one line when the image is complete.
pub fn packed(mode: ProgressMode, tool: &str, bytes: u64, inodes: u64, since: Instant) {
    if mode == ProgressMode::Plain {
        let seconds = since.elapsed().as_secs_f64();
        terminal::print(&format!("{tool}: packed: {bytes} bytes, {inodes} inodes in {seconds:.1} s\n"));
    }
}
