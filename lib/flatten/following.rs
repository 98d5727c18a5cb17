//! Decodes layers while their bytes arrive (M4).
//!
//! A `fetching` record names the file that a layer's bytes arrive in, and a reader follows that file as it grows. The
//! result does not count before the `layer` record says that the blob is complete and verified. If that record names
//! the same inode, the result is used; if it names another one, or the reader has failed, the layer is read again. If
//! the manifest ends earlier because the fetching program has died, all readers end.
//!
//! An `arriving` record, for a blob of an archive, says less: whether the blob is a layer is known only later. It is
//! read like an ordinary layer, but silently, and the result is used if it turns out to be an ordinary layer with the
//! diffId that was found.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::growth::Growth;
use super::layer::Layer;
use super::reading::{Queue, Reading};
use crate::image::layer_manifest::{ArrivingBlob, LayerRecord};
use crate::sys::open_to_read;

/// The most layers that are followed by their own threads.
const BESIDE: usize = 8;
/// The most blobs of archives that are followed; each keeps files open.
const MOST_BLOBS: usize = 64;

/// The layers of a manifest that are still arriving.
#[derive(Debug)]
pub(super) struct GrowingLayers {
    queue: Queue,
    layers: HashMap<u32, (LayerRecord, GrowingLayer)>,
    /// By the inodes of their files.
    blobs: HashMap<Inode, (u64, GrowingLayer)>,
}

#[derive(Debug)]
struct GrowingLayer {
    growth: EndedWhenDropped,
    inode: Inode,
    reading: Reading,
}

impl GrowingLayers {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue, layers: HashMap::new(), blobs: HashMap::new() }
    }

    /// Starts to read a layer whose bytes are arriving. If it cannot be followed, it is read once it is complete.
    pub(super) fn begin(&mut self, record: LayerRecord) {
        self.layers.remove(&record.index);
        let (Some(size), Some(opened)) = (record.size, open(&record.path)) else { return };
        let followed = self.follow(Layer::of_record(record.index, record.clone()), opened, size);
        self.layers.insert(record.index, (record, followed));
    }

    /// Starts to read a blob that may be a layer.
    pub(super) fn begin_blob(&mut self, blob: ArrivingBlob) {
        if self.blobs.len() == MOST_BLOBS || self.queue.has_cache() {
            return; // the cache may have the blob, but finds it only by its diffId
        }
        let Some(opened) = open(&blob.path) else { return };
        let (inode, size) = (opened.1, blob.size);
        // A blob is announced again when it has its final name. If the size differs, the file was opened when the one before
        // was announced: descriptors are used again.
        if self.blobs.get(&inode).is_none_or(|(known, _)| *known != size) {
            let followed = self.follow(Layer::arriving(blob), opened, size);
            self.blobs.insert(inode, (size, followed));
        }
    }

    fn follow(&self, mut layer: Layer, (file, inode): (File, Inode), size: u64) -> GrowingLayer {
        let growth = Arc::new(Growth::new(file, size, self.queue.cancelled()));
        layer.growth = Some(Arc::clone(&growth));
        let few = self.layers.len() + self.blobs.len() < BESIDE;
        let reading = if few { self.queue.add_beside(layer) } else { self.queue.add(layer) };
        GrowingLayer { growth: EndedWhenDropped(growth), inode, reading }
    }

    /// Call this when a layer is complete. Uses what was read while it arrived, if that was the same blob.
    pub(super) fn end(&mut self, number: u32, record: LayerRecord) -> Reading {
        let announced = self.layers.remove(&number).and_then(|(announced, followed)| {
            let is_same = LayerRecord { path: record.path.clone(), ..announced } == record;
            is_same.then_some(followed)
        });
        let file = fs::metadata(&record.path).ok().map(|stat| inode(&stat));
        let followed = match announced {
            Some(followed) => Some(followed).filter(|followed| file == Some(followed.inode)),
            None => file.and_then(|file| self.blob_of(file, &record)),
        };
        let layer = Layer::of_record(number, record);
        match followed {
            Some(GrowingLayer { growth, reading, .. }) => {
                growth.0.whole();
                reading.or_again_as(self.queue.clone(), layer)
            }
            None => self.queue.add(layer),
        }
    }

    /// The reading of the blob that turned out to be this layer, unless this layer has to be read in another way.
    fn blob_of(&mut self, file: Inode, record: &LayerRecord) -> Option<GrowingLayer> {
        let (size, followed) = self.blobs.remove(&file)?;
        let is_ordinary = Layer::of_record(record.index, record.clone()).is_ordinary();
        (is_ordinary && record.size == Some(size)).then_some(followed)
    }
}

/// Ends the wait for more bytes of a file when it is dropped.
#[derive(Debug)]
struct EndedWhenDropped(Arc<Growth>);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The numbers of a device and an inode.
type Inode = (u64, u64);

fn inode(stat: &Metadata) -> Inode {
    (stat.dev(), stat.ino())
}

/// Opens a file for reading as it grows, if it is a regular file.
fn open(path: &Path) -> Option<(File, Inode)> {
    let file = open_to_read(path).ok()?;
    let stat = file.metadata().ok().filter(Metadata::is_file)?;
    Some((file, inode(&stat)))
}
