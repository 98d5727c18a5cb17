//! What `tar2ext4` shows while it packs (S7).

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Instant;

use indicatif::ProgressBar;

use super::ProgressMode;
use super::progress::{Messages, bar};
use crate::sys::WaitingReader;

/// The tar as it is read, with a bar when it is a file.
///
/// At the end of a pipeline there is none: the first filter shows how far things are, and two cannot share a line.
#[derive(Debug)]
pub struct WatchedInput {
    file: WaitingReader<File>,
    bar: Option<ProgressBar>,
}

impl WatchedInput {
    /// Watches `file` be read.
    #[must_use]
    pub fn new(file: File, mode: ProgressMode) -> Self {
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
        let bar = size.filter(|_| mode == ProgressMode::Auto).map(|size| bar("packing", Some(size)));
        Self { file: WaitingReader(file), bar }
    }
}

impl Read for WatchedInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        if let Some(bar) = &self.bar {
            bar.inc(length as u64);
        }
        Ok(length)
    }
}

/// With `--progress plain`, one line when the image stands.
pub fn packed(mode: ProgressMode, tool: &str, bytes: u64, inodes: u64, since: Instant) {
    if mode == ProgressMode::Plain {
        let seconds = since.elapsed().as_secs_f64();
        // Progress is for whoever still reads stderr.
        let _ = writeln!(Messages, "{tool}: packed: {bytes} bytes, {inodes} inodes in {seconds:.1} s");
    }
}
