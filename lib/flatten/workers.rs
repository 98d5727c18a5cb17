//! Reading layers in parallel, in any order, and handing them over in theirs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::layer::{How, Indexed, Layer};
use super::spool::{Room, directory};
use super::{Error, LayerError, Options};

/// Threads that read layers. Dropped, they give up what they are at.
#[derive(Debug)]
pub(super) struct Workers {
    queue: Sender<Job>,
    cancelled: Arc<AtomicBool>,
}

/// A layer that is being read; the layers of a stack are waited for from the bottom up.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) number: u32,
    label: String,
    result: Receiver<Result<Indexed, LayerError>>,
}

#[derive(Debug)]
struct Job {
    layer: Layer,
    result: SyncSender<Result<Indexed, LayerError>>,
}

impl Workers {
    /// Starts the threads, at least one.
    pub(super) fn start(options: &Options) -> Self {
        let (queue, jobs_in) = channel::<Job>();
        let jobs_in = Arc::new(Mutex::new(jobs_in));
        let cancelled = Arc::new(AtomicBool::new(false));
        let in_place = Arc::new(AtomicUsize::new(0));
        let room = Arc::new(Room::new(directory(options.tmpdir.as_deref())));
        for _ in 0..options.jobs.max(1) {
            let jobs_in = Arc::clone(&jobs_in);
            let how = How {
                verify: options.verify,
                room: Arc::clone(&room),
                cancelled: Arc::clone(&cancelled),
                progress: options.progress.clone(),
                in_place: Arc::clone(&in_place),
            };
            thread::spawn(move || work(&jobs_in, &how));
        }
        Self { queue, cancelled }
    }

    /// A handle for one more thread that adds layers.
    pub(super) fn queue(&self) -> Queue {
        Queue(self.queue.clone())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Adds layers to be read.
#[derive(Clone, Debug)]
pub(super) struct Queue(Sender<Job>);

impl Queue {
    /// Adds a layer; it is read as soon as a worker is free.
    pub(super) fn add(&self, layer: Layer) -> Reading {
        let (sender, result) = sync_channel(1);
        let (number, label) = (layer.number, layer.label.clone());
        // Without workers the result never comes, which is told to who waits for it.
        let _ = self.0.send(Job { layer, result: sender });
        Reading { number, label, result }
    }
}

impl Reading {
    /// Waits until the layer is read.
    pub(super) fn wait(&self) -> Result<Indexed, Error> {
        let result = self.result.recv().map_err(|_| Error::Worker)?;
        result.map_err(|source| self.error(source))
    }

    /// The error for this layer.
    pub(super) fn error(&self, source: LayerError) -> Error {
        Error::Layer { layer: self.label.clone(), source }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, how: &How) {
    loop {
        // Held while waiting: who waits for a job waits for the lock or in the channel, it is the same.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { layer, result }) = job else { return };
        let start = Instant::now();
        let read = layer.read(how);
        if let Ok(indexed) = &read {
            log::info!("{}: {} entries read in {:.3} s", layer.label, indexed.index.len, start.elapsed().as_secs_f64());
        }
        // Nobody waits when another layer has failed.
        let _ = result.send(read);
    }
}
