//! The reader of our standard output (S3, S9).

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Failure;
use crate::sys::{standard_output, start_thread};

enum WorkEvent<T> {
    Done(thread::Result<Result<T, Failure>>),
    ReaderGone,
}

/// Does `work` while somebody reads standard output. It fails as soon as the reader is gone, even if there is nothing
/// to write at that moment; the work then ends with the process.
///
/// # Errors
/// Those of the work, or a broken pipe.
///
/// # Panics
/// When the work does.
pub fn while_read<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    if is_kept() {
        return work();
    }
    let (events, next) = mpsc::channel();
    let gone = events.clone();
    // Without the thread, the next write will notice.
    let watching = thread::Builder::new().name("reader".to_owned()).spawn(move || {
        if wait(None) {
            // The work may be done.
            let _ = gone.send(WorkEvent::ReaderGone);
        }
    });
    if watching.is_err() {
        return work();
    }
    let working = start_thread("work", move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // The reader may be gone.
        let _ = events.send(WorkEvent::Done(done));
    });
    if let Err(error) = working {
        return Err(Failure::failed(error));
    }
    match next.recv() {
        Ok(WorkEvent::Done(Ok(done))) => done,
        Ok(WorkEvent::Done(Err(panic))) => resume_unwind(panic),
        Ok(WorkEvent::ReaderGone) | Err(mpsc::RecvError) => Err(reader_gone()),
    }
}

/// Whether standard output is a file: it has no reader that could go away, or that waits for what comes.
pub fn is_kept() -> bool {
    standard_output().is_some_and(|meta| meta.is_file())
}

/// Fails if nobody reads standard output any more.
///
/// # Errors
/// A broken pipe.
pub fn require_reader() -> Result<(), Failure> {
    let is_gone = wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    if is_gone { Err(reader_gone()) } else { Ok(()) }
}

fn reader_gone() -> Failure {
    Failure::failed(io::Error::from(io::ErrorKind::BrokenPipe))
}

/// Waits until the reader of standard output is gone, at most for `timeout`; returns whether it is gone.
fn wait(timeout: Option<&Timespec>) -> bool {
    let stdout = io::stdout();
    loop {
        // No events are requested: ERR and HUP are reported anyway.
        let mut fds = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
        match poll(&mut fds, timeout) {
            Err(Errno::INTR) => {}
            Err(_) | Ok(0) => return false,
            Ok(_) => return fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
        }
    }
}
