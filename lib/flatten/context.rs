//! What reading the layers of a run needs in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::cache::LayerCache;
use super::layer::Layer;
use super::options::Options;
use super::pool::Tasks;
use super::progress::Progress;
use super::spool::{SpoolDir, default_dir};
use super::xattr_visibility::XattrVisibility;

/// How many plain tars are read in place; further ones are spooled, since the number of open files is limited.
const MAX_IN_PLACE: usize = 256;

/// What reading the layers of a run needs in common.
#[derive(Debug)]
pub(super) struct ReadContext {
    /// Whether content is checked against the image's digests (F12).
    pub(super) verify: bool,
    /// The owner of everything in directories given by the user (F16).
    pub(super) owner: Option<(u32, u32)>,
    pub(super) spool_dir: Arc<SpoolDir>,
    /// Layers decoded by other runs.
    pub(super) cache: Option<LayerCache>,
    /// Set when another layer has failed, or nobody wants the result.
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) progress: Option<Arc<dyn Progress>>,
    /// Idle threads that can help.
    pub(super) helpers: Tasks,
    /// Whether overlay's own attributes are visible (F15).
    pub(super) visibility: XattrVisibility,
    /// How many plain tars have been opened to be read in place.
    in_place: AtomicUsize,
}

impl ReadContext {
    pub(super) fn new(options: &Options, helpers: Tasks) -> Self {
        Self {
            verify: options.verify,
            owner: options.owner,
            spool_dir: Arc::new(SpoolDir::new(default_dir(options.tmpdir.as_deref()))),
            cache: options.cache.clone().map(LayerCache::new),
            cancelled: Arc::new(AtomicBool::new(false)),
            progress: options.progress.clone(),
            helpers,
            visibility: XattrVisibility::of_this_process(),
            in_place: AtomicUsize::new(0),
        }
    }

    /// Who wants to see how this layer is read. Of a blob that may be none, nobody.
    pub(super) fn progress_of(&self, layer: &Layer) -> Option<&Arc<dyn Progress>> {
        self.progress.as_ref().filter(|_| !layer.is_arriving())
    }

    /// Whether one more file may stay open until the end, to be read in place.
    pub(super) fn may_stay_open(&self) -> bool {
        self.in_place.fetch_add(1, Ordering::Relaxed) < MAX_IN_PLACE
    }
}
