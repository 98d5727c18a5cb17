//! Callbacks for showing progress while layers are flattened. The library itself shows nothing (S7).

use std::fmt::Debug;
use std::sync::Arc;

/// Receives a call when something begins, from several threads.
pub trait Progress: Debug + Send + Sync {
    /// A layer is going to be read; `size` is its stored size, where known.
    fn expect(&self, label: &str, size: Option<u64>);
    /// Reading a layer begins; `size` is its stored size, where known.
    fn layer(&self, label: &str, size: Option<u64>) -> Box<dyn Meter>;
    /// Writing the result begins; it has `size` bytes of content.
    fn writing(&self, size: u64) -> Box<dyn Meter>;
}

/// Receives the progress of one thing. If it is dropped before [`Meter::end`], that thing has failed.
pub trait Meter: Send {
    /// `bytes` are done.
    fn at(&mut self, bytes: u64);
    /// It is done.
    fn end(self: Box<Self>);
}

/// Starts a meter, if progress is to be shown.
pub(super) fn start(
    progress: Option<&Arc<dyn Progress>>,
    what: impl FnOnce(&dyn Progress) -> Box<dyn Meter>,
) -> Option<Box<dyn Meter>> {
    progress.map(|progress| what(&**progress))
}
