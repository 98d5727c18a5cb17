//! The result of flattening, ready to be written.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::content::{ContentSource, FileRange};
use super::error::Error;
use super::output::TarOutput;
use super::progress::Progress;
use super::write::{TarSummary, write};
use crate::meta::Timestamp;
use crate::tree::SealedTree;

/// The merged tree, ready to be written.
#[derive(Debug)]
pub struct Flattened {
    pub(super) tree: SealedTree<FileRange>,
    pub(super) contents: Vec<ContentSource>,
    pub(super) clamp_mtime: Option<Timestamp>,
    pub(super) progress: Option<Arc<dyn Progress>>,
}

impl Flattened {
    /// Writes the canonical tar to a file descriptor; the kernel moves the bytes where it can.
    ///
    /// # Errors
    /// When it cannot be written, or content cannot be read a second time. The end marker is then missing (S3).
    pub fn write_to_fd(self, fd: BorrowedFd<'_>) -> Result<TarSummary, Error> {
        self.write(&mut TarOutput::to_fd(fd))
    }

    /// Writes the canonical tar to any writer.
    ///
    /// # Errors
    /// As [`Flattened::write_to_fd`].
    pub fn write_to(self, mut writer: impl Write) -> Result<TarSummary, Error> {
        self.write(&mut TarOutput::to_writer(&mut writer))
    }

    fn write(mut self, out: &mut TarOutput<'_>) -> Result<TarSummary, Error> {
        let start = Instant::now();
        let Self { tree, contents, clamp_mtime, progress } = &mut self;
        let summary = write(tree, contents, *clamp_mtime, progress.as_ref(), out)?;
        let (entries, seconds) = (summary.entries, start.elapsed().as_secs_f64());
        log::info!("{entries} entries, {} bytes written in {seconds:.3} s", out.written);
        Ok(summary)
    }
}
