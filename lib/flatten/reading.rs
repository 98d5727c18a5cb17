//! Reads layers in parallel, in any order, and delivers them in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::context::ReadContext;
use super::error::{Error, LayerError};
use super::layer::{IndexedLayer, Layer};
use super::options::Options;
use super::pool::{Pool, Task, Tasks};
use super::read::read;
use crate::sys::locked;

/// Threads that read layers, and help each other when there are fewer layers than threads. When this is dropped, they
/// abandon what they are doing.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Queue,
    cancelled: Arc<AtomicBool>,
    /// Ends when this is dropped.
    _pool: Pool,
}

/// Accepts layers to read, from any thread.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    tasks: Tasks,
    context: Arc<ReadContext>,
}

/// A layer that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) number: u32,
    label: String,
    result: Receiver<Result<IndexedLayer, LayerError>>,
    /// If what is read is not this layer, it is read once more like this.
    again: Option<Box<(Queue, Layer)>>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(options: &Options) -> Result<Self, Error> {
        let pool = Pool::start(options.jobs).map_err(Error::Thread)?;
        let context = Arc::new(ReadContext::new(options, pool.tasks()));
        let cancelled = Arc::clone(&context.cancelled);
        Ok(Self { queue: Queue { tasks: pool.tasks(), context }, cancelled, _pool: pool })
    }

    /// A handle for adding layers.
    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Queue {
    /// Set when no layer is wanted any more.
    pub(super) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.context.cancelled)
    }

    /// Whether decoded layers of other runs are looked for.
    pub(super) fn has_cache(&self) -> bool {
        self.context.cache.is_some()
    }

    /// Adds a layer; it is read as soon as a thread is free.
    pub(super) fn add(&self, layer: Layer) -> Reading {
        let (task, reading) = self.task(layer);
        self.tasks.add(task);
        reading
    }

    /// Adds a layer that mostly waits for its bytes: on a thread of its own, so that it blocks no other, or, if none can be
    /// started, like any other.
    pub(super) fn add_beside(&self, layer: Layer) -> Reading {
        let (task, reading) = self.task(layer);
        let task = Arc::new(Mutex::new(Some(task)));
        let run = |task: &Mutex<Option<Task>>| {
            let task = locked(task).take();
            task.into_iter().for_each(|task| task());
        };
        let own = Arc::clone(&task);
        if thread::Builder::new().name("follow".to_owned()).spawn(move || run(&own)).is_err() {
            self.tasks.add(Box::new(move || run(&task)));
        }
        reading
    }

    fn task(&self, layer: Layer) -> (Task, Reading) {
        let (sender, result) = sync_channel(1);
        let (number, label) = (layer.number, layer.label.clone());
        let context = Arc::clone(&self.context);
        if let Some(progress) = context.progress_of(&layer) {
            progress.expect(&layer.label, layer.size());
        }
        let task = Box::new(move || {
            let start = Instant::now();
            let indexed = read(&layer, &context);
            if let Ok(indexed) = &indexed {
                let (entries, seconds) = (indexed.members.len, start.elapsed().as_secs_f64());
                log::info!("{}: {entries} entries read in {seconds:.3} s", layer.label);
            }
            // Nobody is waiting if another layer has failed.
            let _ = sender.send(indexed);
        });
        (task, Reading { number, label, result, again: None })
    }
}

impl Reading {
    /// The same, as this layer: it is read once more if that failed or found other content.
    pub(super) fn or_again_as(self, queue: Queue, layer: Layer) -> Self {
        let (number, label) = (layer.number, layer.label.clone());
        Self { number, label, result: self.result, again: Some(Box::new((queue, layer))) }
    }

    /// Waits until the layer has been read.
    pub(super) fn wait(&mut self) -> Result<IndexedLayer, Error> {
        // The task has dropped its end if it panicked, or if no thread was left for it.
        let result = self.result.recv().map_err(|_| Error::Worker);
        if let Some(again) = self.again.take() {
            let (queue, layer) = *again;
            if !matches!(&result, Ok(Ok(indexed)) if layer.may_be(indexed)) {
                return queue.add(layer).wait();
            }
        }
        result?.map_err(|source| self.error(source))
    }

    /// The error for this layer.
    pub(super) fn error(&self, source: LayerError) -> Error {
        Error::Layer { layer: self.label.clone(), source }
    }
}
