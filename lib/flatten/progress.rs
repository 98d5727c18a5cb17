//! What a caller may want to show while layers are flattened. The library itself shows nothing (S7).

use std::fmt::Debug;
use std::sync::Arc;

/// Is told what begins; called from several threads.
pub trait Progress: Debug + Send + Sync {
    /// A layer will be read; `size` is how long it is as stored, where that is known.
    fn expect(&self, label: &str, size: Option<u64>);
    /// A layer begins to be read; `size` is how long it is as stored, where that is known.
    fn layer(&self, label: &str, size: Option<u64>) -> Box<dyn Meter>;
    /// The result begins to be written; it has so many bytes of content.
    fn writing(&self, size: u64) -> Box<dyn Meter>;
}

/// Is told how one thing goes on. It has failed when it is dropped without having ended.
pub trait Meter: Send {
    /// So many bytes are done.
    fn at(&mut self, bytes: u64);
    /// It is done.
    fn end(self: Box<Self>);
}

/// Starts a meter where somebody wants to see it.
pub(super) fn start(
    progress: Option<&Arc<dyn Progress>>,
    what: impl FnOnce(&dyn Progress) -> Box<dyn Meter>,
) -> Option<Box<dyn Meter>> {
    progress.map(|progress| what(&**progress))
}
