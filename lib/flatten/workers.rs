//! Reading layers in parallel, in any order, and handing them over in theirs.

use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::layer::{How, Indexed, Layer};
use super::sight::Sight;
use super::spool::{Room, directory};
use super::stream::Stage;
use super::{Error, LayerError, Options};

/// Threads that read layers, and help each other when there are fewer layers than threads. Dropped, they give up what
/// they are at.
#[derive(Debug)]
pub(super) struct Workers {
    queue: Queue,
    threads: usize,
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
enum Task {
    Layer { layer: Layer, result: SyncSender<Result<Indexed, LayerError>> },
    Help(Arc<Stage>),
    Stop,
}

impl Workers {
    /// Starts the threads, at least one.
    pub(super) fn start(options: &Options) -> Self {
        let (tasks, tasks_in) = channel();
        let tasks_in = Arc::new(Mutex::new(tasks_in));
        let queue = Queue { tasks, spare: Arc::new(AtomicIsize::new(0)) };
        let how = How {
            verify: options.verify,
            room: Arc::new(Room::new(directory(options.tmpdir.as_deref()))),
            cancelled: Arc::new(AtomicBool::new(false)),
            progress: options.progress.clone(),
            in_place: Arc::new(AtomicUsize::new(0)),
            queue: queue.clone(),
            sight: Sight::now(),
        };
        let cancelled = Arc::clone(&how.cancelled);
        let threads = options.jobs.max(1);
        for _ in 0..threads {
            let (tasks_in, how) = (Arc::clone(&tasks_in), how.clone());
            thread::spawn(move || work(&tasks_in, &how));
        }
        Self { queue, threads, cancelled }
    }

    /// A handle for one more thread that adds layers.
    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        for _ in 0..self.threads {
            self.queue.send(Task::Stop);
        }
    }
}

/// Gives the workers something to do.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    tasks: Sender<Task>,
    /// Workers that wait, less the tasks that wait.
    spare: Arc<AtomicIsize>,
}

impl Queue {
    /// Adds a layer; it is read as soon as a worker is free.
    pub(super) fn add(&self, layer: Layer) -> Reading {
        let (sender, result) = sync_channel(1);
        let (number, label) = (layer.number, layer.label.clone());
        self.send(Task::Layer { layer, result: sender });
        Reading { number, label, result }
    }

    /// Has a worker that waits run this stage, if there is one; says whether.
    pub(super) fn help(&self, stage: &Arc<Stage>) -> bool {
        let one_less = |spare| if spare > 0 { Some(spare - 1) } else { None };
        if self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return false;
        }
        self.tasks.send(Task::Help(Arc::clone(stage))).is_ok()
    }

    fn send(&self, task: Task) {
        self.spare.fetch_sub(1, Ordering::Relaxed);
        // Without workers the result of a layer never comes, which is told to who waits for it.
        let _ = self.tasks.send(task);
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

fn work(tasks: &Mutex<Receiver<Task>>, how: &How) {
    loop {
        how.queue.spare.fetch_add(1, Ordering::Relaxed);
        // Held while waiting: who waits for a task waits for the lock or in the channel, it is the same.
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(Task::Layer { layer, result }) => {
                let start = Instant::now();
                let read = layer.read(how);
                if let Ok(indexed) = &read {
                    let seconds = start.elapsed().as_secs_f64();
                    log::info!("{}: {} entries read in {seconds:.3} s", layer.label, indexed.index.len);
                }
                // Nobody waits when another layer has failed.
                let _ = result.send(read);
            }
            Ok(Task::Help(stage)) => stage.run(),
            Ok(Task::Stop) | Err(_) => return,
        }
    }
}
