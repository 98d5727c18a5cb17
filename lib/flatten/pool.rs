//! A pool of threads, which knows nothing about its tasks.

use std::io;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::sys::locked;

/// Something to do, with everything it needs.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// Threads that wait for tasks; when the pool is dropped, they end after their current task.
#[derive(Debug)]
pub(super) struct Pool {
    tasks: Tasks,
    threads: usize,
}

/// Gives tasks to the threads of a pool.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    /// `None` ends a thread.
    sender: Sender<Option<Task>>,
    /// The number of waiting threads minus that of waiting tasks.
    spare: Arc<AtomicIsize>,
}

impl Pool {
    /// Starts as many of the threads as the system allows, and at least one.
    ///
    /// # Errors
    /// When not even one thread can be started.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let tasks = Tasks { sender, spare: Arc::new(AtomicIsize::new(0)) };
        let mut pool = Self { tasks, threads: 0 };
        for _ in 0..threads.max(1) {
            let (receiver, spare) = (Arc::clone(&receiver), Arc::clone(&pool.tasks.spare));
            match thread::Builder::new().name("layer".to_owned()).spawn(move || work(&receiver, &spare)) {
                Ok(_) => pool.threads += 1,
                Err(error) if pool.threads == 0 => return Err(error),
                Err(error) => {
                    log::info!("{} of {threads} threads: {error}", pool.threads);
                    break;
                }
            }
        }
        Ok(pool)
    }

    /// A handle for adding tasks from any thread.
    pub(super) fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for _ in 0..self.threads {
            // A thread that has died needs no message.
            let _ = self.tasks.sender.send(None);
        }
    }
}

impl Tasks {
    /// Adds a task, to be done as soon as a thread is free, or dropped if none is left.
    pub(super) fn add(&self, task: Task) {
        self.spare.fetch_sub(1, Ordering::Relaxed);
        let _ = self.sender.send(Some(task));
    }

    /// If a thread is idle, makes it do `task`; returns whether one was.
    pub(super) fn add_if_idle(&self, task: impl FnOnce() -> Task) -> bool {
        let one_less = |spare| if spare > 0 { Some(spare - 1) } else { None };
        if self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return false;
        }
        self.sender.send(Some(task())).is_ok()
    }
}

fn work(tasks: &Mutex<Receiver<Option<Task>>>, spare: &AtomicIsize) {
    loop {
        spare.fetch_add(1, Ordering::Relaxed);
        // The lock is held while waiting: it makes no difference whether a thread waits for the lock or the channel.
        let task = locked(tasks).recv();
        match task {
            Ok(Some(task)) => task(),
            Ok(None) | Err(_) => return,
        }
    }
}
