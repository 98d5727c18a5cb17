//! Layers that are decoded while their bytes arrive (M4).
//!
//! A `fetching` record names the file that a layer's bytes arrive in; a reader follows that file as it grows. Nothing of it
//! counts before the `layer` record says that the blob is whole and verified: if that names the same inode, what was read is
//! the layer; if it names another one, or the reader has failed, the layer is read anew. A manifest that ends before, because
//! the fetching program has died, ends all followers.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::growth::Growth;
use super::layer::Layer;
use super::reading::{Queue, Reading};
use crate::image::layer_manifest::LayerRecord;
use crate::sys::open_flags;

/// So many layers are followed by threads of their own.
const BESIDE: usize = 8;

/// The layers of a manifest that are on their way.
#[derive(Debug)]
pub(super) struct Following {
    queue: Queue,
    layers: HashMap<u32, Followed>,
}

#[derive(Debug)]
struct Followed {
    record: LayerRecord,
    growth: Arc<Growth>,
    inode: (u64, u64),
    reading: Reading,
}

impl Following {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue, layers: HashMap::new() }
    }

    /// Begins to read a layer whose bytes are arriving. What cannot be followed is read when it is whole.
    pub(super) fn begin(&mut self, record: LayerRecord) {
        if let Some(old) = self.layers.remove(&record.index) {
            old.growth.end();
        }
        let flags = open_flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY);
        let opened = File::options().read(true).custom_flags(flags).open(&record.path);
        let (Ok(file), Some(size)) = (opened, record.size) else { return };
        let Some(stat) = file.metadata().ok().filter(Metadata::is_file) else { return };
        let growth = Arc::new(Growth::new(file, size, self.queue.cancelled()));
        let mut layer = Layer::of_record(record.index, record.clone());
        layer.growth = Some(Arc::clone(&growth));
        let few = self.layers.len() < BESIDE;
        let reading = if few { self.queue.add_beside(layer) } else { self.queue.add(layer) };
        self.layers.insert(record.index, Followed { record, growth, inode: inode(&stat), reading });
    }

    /// A layer is whole: what was read of it on its way counts if it was this one.
    pub(super) fn end(&mut self, number: u32, record: LayerRecord) -> Reading {
        let Some(Followed { record: announced, growth, inode: followed, reading }) = self.layers.remove(&number) else {
            return self.queue.add(Layer::of_record(number, record));
        };
        let is_same = LayerRecord { path: record.path.clone(), ..announced } == record;
        if is_same && fs::metadata(&record.path).is_ok_and(|stat| inode(&stat) == followed) {
            growth.whole();
            return reading.or_again(self.queue.clone(), Layer::of_record(number, record));
        }
        growth.end();
        self.queue.add(Layer::of_record(number, record))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        for followed in self.layers.values() {
            followed.growth.end();
        }
    }
}

fn inode(stat: &Metadata) -> (u64, u64) {
    (stat.dev(), stat.ino())
}
