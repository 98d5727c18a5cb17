//! The options of flattening.

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
    /// Layers to stack on top of the manifest's: tars of any compression, or directories, which are read as tars of them
    /// would be.
    pub layers: Vec<ExtraLayer>,
    /// The user and group to own everything from directories among these; by default owners are kept if root reads the
    /// directories, and are root if anyone else does (F16).
    pub owner: Option<(u32, u32)>,
    /// The lowest layer of the result, 0 at the bottom. If it is another, the result is the upper directory of an overlay
    /// above the layers below it (F17).
    pub from: u32,
    /// The highest layer of the result; by default the topmost.
    pub to: Option<u32>,
    /// Names to leave out of the result.
    pub exclude: Vec<Exclude>,
    /// Modification times after this one are set to it.
    pub clamp_mtime: Option<Timestamp>,
    /// Where decoded layers are spooled; by default `TMPDIR`, /var/tmp or /tmp.
    pub tmpdir: Option<PathBuf>,
    /// Where decoded layers are kept for later runs (F18).
    pub cache: Option<CacheOptions>,
    /// How many layers are decoded at once.
    pub jobs: usize,
    /// Whether the content of layers is checked against their diffIds (F12).
    pub verify: bool,
    /// Receives the progress.
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
