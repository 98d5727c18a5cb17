//! From layers to one canonical tar stream: the adapter between codec, tar and tree (F and T rules).
//!
//! ```text
//!  manifest --> layer 0 --> decode, hash, spool, index --\
//!          \--> layer 1 --> decode, hash, spool, index ---+--> merge tree --> canonical tar
//!           \-> -l DIR  --> list ------------------------/     (in order)     (T1)
//! ```
//!
//! A layer is decoded once, in parallel with others and while `oci-fetch` still runs, even while its own bytes arrive (M4).
//! Its data goes to an unlinked spool file or to the cache (directories are read in place), its members to a compact index.
//! Indexes are merged from the bottom up. Content is copied from the spool to the output only if it is part of the result;
//! the kernel copies it where it can.

mod blob;
mod cache;
mod content;
mod context;
mod directory;
mod error;
mod exclude;
mod extra_layer;
mod files;
mod flattened;
mod following;
mod growth;
mod layer;
mod linked_names;
mod listed_names;
mod member_index;
mod merge;
mod options;
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

use std::io::BufRead;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Instant;

pub use cache::CacheOptions;
pub use error::{Error, LayerError};
pub use exclude::{Exclude, PatternError};
pub use extra_layer::{ExtraLayer, ExtraLayerError, ExtraSource};
pub use flattened::Flattened;
pub use options::Options;
pub use progress::{Meter, Progress};
pub use write::TarSummary;

use crate::image::layer_manifest::{self, Record};
use crate::tree::MergeTree;
use content::FileRange;
use following::GrowingLayers;
use layer::Layer;
use reading::{Queue, Readers, Reading};
use warnings::Warnings;

/// Reads the layers of `manifest` (a stream in [`layer_manifest`] format), with those of the options on top.
///
/// The manifest is read to its end (S3). If several layers fail, the error is that of the lowest.
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
/// let summary = merged.write_to(&mut tar)?;
/// assert_eq!(summary.entries, 4); // ./ etc/ etc/hosts etc/motd
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
    // Start this thread before the readers, which take as many as they can get.
    let (queue, readings) = layers(manifest, options)?;
    let readers = Readers::start(options)?;
    // This fails only if the thread has died, which is reported when we wait for it.
    let _ = queue.send(readers.queue());
    let mut tree = MergeTree::new();
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
    log::info!(
        "{} layers, {} inodes merged in {:.3} s",
        contents.len(),
        tree.inode_count(),
        start.elapsed().as_secs_f64()
    );
    Ok(Flattened { tree, contents, clamp_mtime: options.clamp_mtime, progress: options.progress.clone() })
}

/// Removes what the user wants left out.
fn exclude(tree: &mut MergeTree<FileRange>, exclude: &[Exclude]) {
    if !exclude.is_empty() {
        tree.retain(|path, is_dir| !exclude.iter().any(|exclude| exclude.matches(path, is_dir)));
    }
}

/// The layers being read, in order; `None` comes after the last.
type Readings = Receiver<Result<Option<Reading>, Error>>;

/// Queues layers as they appear in the manifest, up to the last one wanted. This happens on a thread of its own, because it
/// may take as long as a download. The thread waits until it is given the queue.
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
            let mut following = GrowingLayers::new(queue.clone());
            loop {
                match reader.next_record() {
                    Ok(Some(Record::Layer(record))) => {
                        if number <= last && sender.send(Ok(Some(following.end(number, record)))).is_err() {
                            return;
                        }
                        number += 1;
                    }
                    Ok(Some(Record::Fetching(record))) => following.begin(record),
                    Ok(Some(Record::Arriving(blob))) => following.begin_blob(blob),
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
