//! Progress reports for the caller while an image is fetched. The library itself shows nothing (S7).

use crate::image::Digest;

/// The transfer of a blob or an archive.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The number of the layer, 0 at the bottom; `None` for the config, or an archive as a whole.
    pub layer: Option<usize>,
    /// The blob's digest.
    pub digest: Option<Digest>,
    /// The total size in bytes, if known.
    pub size: Option<u64>,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already.
    Cached,
    /// It is complete and verified.
    Done,
    /// It failed.
    Failed,
}

/// Receives a call for each transfer that starts, from several threads.
pub trait FetchProgress: Send + Sync {
    /// A transfer will start; called for all of a group before the first one starts.
    fn expect(&self, _: &Transfer) {}
    /// A transfer starts.
    fn start(&self, transfer: &Transfer) -> Box<dyn TransferMeter>;
}

/// Receives the progress of one transfer.
pub trait TransferMeter: Send {
    /// `bytes` have arrived; fewer than before if the transfer started over.
    fn at(&mut self, bytes: u64);
    /// The transfer ended.
    fn end(self: Box<Self>, outcome: Outcome);
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl FetchProgress for NoProgress {
    fn start(&self, _: &Transfer) -> Box<dyn TransferMeter> {
        Box::new(Self)
    }
}

impl TransferMeter for NoProgress {
    fn at(&mut self, _: u64) {}
    fn end(self: Box<Self>, _: Outcome) {}
}
