//! Threads that do tasks. What a task is they do not know.

use std::io;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Something to do. It brings along whatever it needs.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// Threads that wait for tasks; dropped, they end after what they are at.
#[derive(Debug)]
pub(super) struct Pool {
    tasks: Tasks,
    threads: usize,
}

/// Gives a pool's threads something to do.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    /// `None` ends a thread.
    sender: Sender<Option<Task>>,
    /// Threads that wait, less the tasks that wait.
    spare: Arc<AtomicIsize>,
}

impl Pool {
    /// Starts threads, as many as the system gives and at least one.
    ///
    /// # Errors
    /// When there is no thread to be had.
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

    /// A handle by which tasks are added, from any thread.
    pub(super) fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for _ in 0..self.threads {
            // Those who have died need not be told.
            let _ = self.tasks.sender.send(None);
        }
    }
}

impl Tasks {
    /// Adds a task; it is done as soon as a thread is free, or dropped when there is none any more.
    pub(super) fn add(&self, task: Task) {
        self.spare.fetch_sub(1, Ordering::Relaxed);
        let _ = self.sender.send(Some(task));
    }

    /// Has a thread that waits do what `task` makes, if there is one; says whether.
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
        // Held while waiting: who waits for a task waits for the lock or in the channel, it is the same.
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(Some(task)) => task(),
            Ok(None) | Err(_) => return,
        }
    }
}
