//! What a caller may want to show while an image comes in. The library itself shows nothing (S7).

use crate::image::Digest;

/// A blob or an archive on its way.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Which of the layers, 0 at the bottom; `None` for an archive as a whole.
    pub layer: Option<usize>,
    /// The blob's digest.
    pub digest: Option<Digest>,
    /// Bytes of the whole, where known.
    pub size: Option<u64>,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already.
    Cached,
    /// It is whole and right.
    Done,
    /// It did not come.
    Failed,
}

/// Is told of transfers as they start; called from several threads.
pub trait FetchProgress: Send + Sync {
    /// A transfer will start, as others do that this is told of before it does.
    fn expect(&self, _: &Transfer) {}
    /// A transfer starts.
    fn start(&self, transfer: &Transfer) -> Box<dyn TransferMeter>;
}

/// Is told how one transfer goes on.
pub trait TransferMeter: Send {
    /// So many bytes of it are there; less than before when it had to be started again.
    fn at(&mut self, bytes: u64);
    /// It ended.
    fn end(self: Box<Self>, outcome: Outcome);
}

/// Shows nothing.
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
