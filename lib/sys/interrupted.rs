use std::io;

/// Calls again as long as a signal interrupts the call: whoever reads with more than one call has no place to go on from.
///
/// # Errors
/// The call's own, but for interruptions.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
