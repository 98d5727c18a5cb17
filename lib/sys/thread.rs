use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. The system's error does not mention threads, so this one does.
///
/// # Errors
/// As the system reports them.
pub fn start_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let started = Builder::new().name(name.to_owned()).spawn(work);
    // Without the system's kind, `WouldBlock`, which would be misleading.
    started.map_err(|error| io::Error::other(format!("cannot start a thread: {error}")))
}
