//! What a caller may ask of flattening.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::cache::CacheOptions;
use super::exclude::Exclude;
use super::extra_layer::ExtraLayer;
use super::progress::Progress;
use crate::meta::Timestamp;

/// How to flatten.
#[derive(Clone, Debug)]
pub struct Options {
    /// More layers, stacked on top of the manifest's: tars of any compression, or directories, which are read as a tar
    /// of them would be.
    pub layers: Vec<ExtraLayer>,
    /// User and group that all belongs to which directories among these bring; by default they keep their owners if
    /// root reads them, and are root's if anyone else does (F16).
    pub owner: Option<(u32, u32)>,
    /// The first layer that the result is made of, 0 at the bottom. From another one on, the result is what an overlay
    /// needs above the layers below it (F17).
    pub from: u32,
    /// The last layer that the result is made of; by default the topmost.
    pub to: Option<u32>,
    /// Names to leave out of the result.
    pub exclude: Vec<Exclude>,
    /// Times of modification after this one become it.
    pub clamp_mtime: Option<Timestamp>,
    /// Where decoded layers are spooled; by default `TMPDIR`, /var/tmp or /tmp.
    pub tmpdir: Option<PathBuf>,
    /// Where decoded layers are kept for later runs (F18).
    pub cache: Option<CacheOptions>,
    /// How many layers are decoded at once.
    pub jobs: usize,
    /// Whether the content of layers is held against their diffIds (F12).
    pub verify: bool,
    /// Who is told how it goes on.
    pub progress: Option<Arc<dyn Progress>>,
}

impl Default for Options {
    fn default() -> Self {
        let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            layers: Vec::new(),
            owner: None,
            from: 0,
            to: None,
            exclude: Vec::new(),
            clamp_mtime: None,
            tmpdir: None,
            cache: None,
            jobs,
            verify: true,
            progress: None,
        }
    }
}
