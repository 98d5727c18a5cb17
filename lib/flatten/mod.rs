//! Layers to one canonical tar stream: the adapter between codec, tar and tree (F and T rules).
//!
//! ```text
//!  manifest --> layer 0 --> decode, hash, spool, index --\
//!          \--> layer 1 --> decode, hash, spool, index ---+--> merge tree --> canonical tar
//!           \-> -l DIR  --> list ------------------------/     (in order)     (T1)
//! ```
//!
//! A layer is decoded once, while others are and while `oci-fetch` still runs, even while its own bytes arrive (M4): its data goes to an unlinked spool
//! file (plain tars and directories are read in place), what it holds to a compact index. Indexes are merged from the
//! bottom up. Content moves from the spool to the output only if the result still wants it, within the kernel where
//! that can be.

mod blob;
mod cache;
mod content;
mod context;
mod directory;
mod error;
mod exclude;
mod extra_layer;
mod files;
mod following;
mod layer;
mod member_index;
mod merge;
mod output;
mod overlay;
mod pool;
mod progress;
mod read;
mod reading;
mod seeking;
mod spool;
mod stream;
mod tarball;
#[cfg(test)]
mod tests;
mod upper;
mod warnings;
mod write;
mod xattr_visibility;

use std::io::{BufRead, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Instant;

pub use cache::CacheOptions;
pub use error::{Error, LayerError};
pub use exclude::{Exclude, PatternError};
pub use extra_layer::{ExtraLayer, ExtraLayerError, ExtraSource};
pub use progress::{Meter, Progress};

use crate::image::layer_manifest::{self, Record};
use crate::meta::Timestamp;
use crate::tree::Tree;
use content::{ContentSource, FileRange};
use following::Following;
use layer::Layer;
use output::Output;
use reading::{Queue, Readers, Reading};
use warnings::Warnings;

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

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Members.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// The merged tree, ready to be written.
#[derive(Debug)]
pub struct Flattened {
    tree: crate::tree::Sealed<FileRange>,
    contents: Vec<ContentSource>,
    clamp_mtime: Option<Timestamp>,
    progress: Option<Arc<dyn Progress>>,
}

/// Reads the layers of `manifest` (a stream of the [`layer_manifest`] format), and those of the options above them.
///
/// The manifest is read to its end (S3). Errors are those of the lowest layer that has one.
///
/// ```
/// use oci2ext4::flatten::{Options, flatten};
///
/// # let dir = tempfile::tempdir()?;
/// # let (base, top) = (dir.path().join("base"), dir.path().join("top"));
/// # std::fs::create_dir_all(base.join("etc"))?;
/// # std::fs::create_dir_all(top.join("etc"))?;
/// std::fs::write(base.join("etc/hosts"), "127.0.0.1 localhost\n")?;
/// std::fs::write(top.join("etc/motd"), "Welcome\n")?;
///
/// // Two directories; a manifest would come first: Some(std::io::stdin().lock()), or bytes that `fetch` wrote.
/// let options = Options { layers: vec![base.into(), top.into()], ..Options::default() };
/// let merged = flatten(None::<&[u8]>, &options)?;
/// let mut tar = Vec::new(); // any writer; `write_to_fd` is faster where there is a file or a pipe
/// let totals = merged.write_to(&mut tar)?;
/// assert_eq!(totals.entries, 4); // ./ etc/ etc/hosts etc/motd
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the manifest or a layer is cut, wrong, or breaks an F rule.
pub fn flatten(manifest: Option<impl BufRead + Send + 'static>, options: &Options) -> Result<Flattened, Error> {
    if manifest.is_none() && options.layers.is_empty() {
        return Err(Error::NoLayers);
    }
    let start = Instant::now();
    // Its thread comes before those of the readers, which take as many as there are.
    let (queue, readings) = layers(manifest, options)?;
    let readers = Readers::start(options)?;
    // Refused only by a thread that has died, which is told when it is waited for.
    let _ = queue.send(readers.queue());
    let mut tree = Tree::new();
    let mut lower = None;
    let mut contents = Vec::new();
    let mut warnings = Warnings::default();
    while let Some(mut reading) = readings.recv().map_err(|_| Error::Worker)?? {
        let indexed = reading.wait()?;
        warnings = warnings.and(indexed.warnings);
        if reading.number == options.from && options.from > 0 {
            exclude(&mut tree, &options.exclude);
            lower = Some(tree.snapshot());
        }
        contents.push(merge::apply(&mut tree, reading.number, indexed).map_err(|source| reading.error(source))?);
    }
    let last = options.to.unwrap_or(options.from);
    let layers = u32::try_from(contents.len()).unwrap_or(u32::MAX);
    if layers <= last && (options.from > 0 || options.to.is_some()) {
        return Err(Error::NoSuchLayer { layer: last, layers });
    }
    exclude(&mut tree, &options.exclude);
    let tree = match lower {
        None => tree.seal(),
        Some(lower) => upper::upper(&lower, &tree.seal())?,
    };
    warnings.warn(&tree);
    log::info!("{} layers, {} inodes merged in {:.3} s", contents.len(), tree.len(), start.elapsed().as_secs_f64());
    Ok(Flattened { tree, contents, clamp_mtime: options.clamp_mtime, progress: options.progress.clone() })
}

/// Removes what is to be left out.
fn exclude(tree: &mut Tree<FileRange>, exclude: &[Exclude]) {
    if !exclude.is_empty() {
        tree.retain(|path, is_dir| !exclude.iter().any(|exclude| exclude.matches(path, is_dir)));
    }
}

/// Layers that are being read, in their order; `None` says that there are no more.
type Readings = Receiver<Result<Option<Reading>, Error>>;

/// Queues layers as the manifest brings them, up to the last that is wanted, on a thread of its own because that may take
/// as long as a download. It waits for the queue.
fn layers(
    manifest: Option<impl BufRead + Send + 'static>,
    options: &Options,
) -> Result<(SyncSender<Queue>, Readings), Error> {
    let (sender, readings) = channel();
    let (queue_sender, queue) = sync_channel::<Queue>(1);
    let (extra, last) = (options.layers.clone(), options.to.unwrap_or(u32::MAX));
    let read = move || {
        let Ok(queue) = queue.recv() else { return };
        let mut number = 0;
        if let Some(manifest) = manifest {
            let mut reader = layer_manifest::Reader::new(manifest);
            let mut following = Following::new(queue.clone());
            loop {
                match reader.next_record() {
                    Ok(Some(Record::Layer(record))) => {
                        if number <= last && sender.send(Ok(Some(following.end(number, record)))).is_err() {
                            return;
                        }
                        number += 1;
                    }
                    Ok(Some(Record::Fetching(record))) => following.begin(record),
                    Ok(Some(Record::Image(_) | Record::End)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        let _ = sender.send(Err(error.into()));
                        return;
                    }
                }
            }
        }
        for extra in extra {
            if number <= last && sender.send(Ok(Some(queue.add(Layer::extra(number, extra))))).is_err() {
                return;
            }
            number += 1;
        }
        let _ = sender.send(Ok(None));
    };
    thread::Builder::new().name("manifest".to_owned()).spawn(read).map_err(Error::Thread)?;
    Ok((queue_sender, readings))
}

impl Flattened {
    /// Writes the canonical tar to a file descriptor, within the kernel where that can be.
    ///
    /// # Errors
    /// When it cannot be written, or content cannot be read again. Then no end marker was written (S3).
    pub fn write_to_fd(self, fd: BorrowedFd<'_>) -> Result<Totals, Error> {
        self.write(&mut Output::to_fd(fd))
    }

    /// Writes the canonical tar to any writer.
    ///
    /// # Errors
    /// As [`Flattened::write_to_fd`].
    pub fn write_to(self, mut writer: impl Write) -> Result<Totals, Error> {
        self.write(&mut Output::to_writer(&mut writer))
    }

    fn write(mut self, out: &mut Output<'_>) -> Result<Totals, Error> {
        let start = Instant::now();
        let totals = write::write(&mut self, out)?;
        let (entries, seconds) = (totals.entries, start.elapsed().as_secs_f64());
        log::info!("{entries} entries, {} bytes written in {seconds:.3} s", out.written);
        Ok(totals)
    }
}
