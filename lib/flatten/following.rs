//! Layers that are decoded while their bytes arrive (M4).
//!
//! A `fetching` record names the file that a layer's bytes arrive in; a reader follows that file as it grows. Nothing of it
//! counts before the `layer` record says that the blob is whole and verified: if that names the same inode, what was read is
//! the layer; if it names another one, or the reader has failed, the layer is read anew. A manifest that ends before, because
//! the fetching program has died, ends all followers.
//!
//! Of a blob in an archive an `arriving` record says less: whether it is a layer stands behind it. It is read as most layers
//! are, without a word, and what was read is the layer if that turns out to be an ordinary one with the diffId that was found.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::growth::Growth;
use super::layer::Layer;
use super::reading::{Queue, Reading};
use crate::image::layer_manifest::{ArrivingBlob, LayerRecord};
use crate::sys::open_flags;

/// So many layers are followed by threads of their own.
const BESIDE: usize = 8;
/// So many blobs of archives are followed: each keeps files open.
const MOST_BLOBS: usize = 64;

/// The layers of a manifest that are on their way.
#[derive(Debug)]
pub(super) struct Following {
    queue: Queue,
    layers: HashMap<u32, (LayerRecord, Followed)>,
    /// By the inodes of their files.
    blobs: HashMap<Inode, (u64, Followed)>,
}

#[derive(Debug)]
struct Followed {
    growth: EndedWhenDropped,
    inode: Inode,
    reading: Reading,
}

impl Following {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue, layers: HashMap::new(), blobs: HashMap::new() }
    }

    /// Begins to read a layer whose bytes are arriving. What cannot be followed is read when it is whole.
    pub(super) fn begin(&mut self, record: LayerRecord) {
        self.layers.remove(&record.index);
        let (Some(size), Some(opened)) = (record.size, open(&record.path)) else { return };
        let followed = self.follow(Layer::of_record(record.index, record.clone()), opened, size);
        self.layers.insert(record.index, (record, followed));
    }

    /// Begins to read a blob that may be a layer.
    pub(super) fn begin_blob(&mut self, blob: ArrivingBlob) {
        if self.blobs.len() == MOST_BLOBS || self.queue.has_cache() {
            return; // what the cache has of it is found by its diffId alone
        }
        let Some(opened) = open(&blob.path) else { return };
        let (inode, size) = (opened.1, blob.size);
        // It is told of again when it has its own name.
        if !self.blobs.contains_key(&inode) {
            let followed = self.follow(Layer::arriving(blob), opened, size);
            self.blobs.insert(inode, (size, followed));
        }
    }

    fn follow(&self, mut layer: Layer, (file, inode): (File, Inode), size: u64) -> Followed {
        let growth = Arc::new(Growth::new(file, size, self.queue.cancelled()));
        layer.growth = Some(Arc::clone(&growth));
        let few = self.layers.len() + self.blobs.len() < BESIDE;
        let reading = if few { self.queue.add_beside(layer) } else { self.queue.add(layer) };
        Followed { growth: EndedWhenDropped(growth), inode, reading }
    }

    /// A layer is whole: what was read of it on its way counts if it was this one.
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
            Some(Followed { growth, reading, .. }) => {
                growth.0.whole();
                reading.or_again_as(self.queue.clone(), layer)
            }
            None => self.queue.add(layer),
        }
    }

    /// What was read of the blob that is this layer, if it was read in the way of this layer.
    fn blob_of(&mut self, file: Inode, record: &LayerRecord) -> Option<Followed> {
        let (size, followed) = self.blobs.remove(&file)?;
        let is_ordinary = Layer::of_record(record.index, record.clone()).is_ordinary();
        (is_ordinary && record.size == Some(size)).then_some(followed)
    }
}

/// A file that nobody waits for any more once this is dropped.
#[derive(Debug)]
struct EndedWhenDropped(Arc<Growth>);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A device's number and an inode's.
type Inode = (u64, u64);

fn inode(stat: &Metadata) -> Inode {
    (stat.dev(), stat.ino())
}

/// Opens a file to read it as it grows, if it is one.
fn open(path: &Path) -> Option<(File, Inode)> {
    let flags = open_flags(OFlags::NONBLOCK | OFlags::NOCTTY);
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let stat = file.metadata().ok().filter(Metadata::is_file)?;
    Some((file, inode(&stat)))
}
