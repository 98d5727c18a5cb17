use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. What the system says when it has none to give names no threads, so the error does.
///
/// # Errors
/// As the system reports them.
pub fn start_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let started = Builder::new().name(name.to_owned()).spawn(work);
    // Of no kind: nothing that was asked for would block.
    started.map_err(|error| io::Error::other(format!("cannot start a thread: {error}")))
}
