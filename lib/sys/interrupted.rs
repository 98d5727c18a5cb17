use std::io;

/// Repeats a call while signals interrupt it: a caller in the middle of several reads could not resume.
///
/// # Errors
/// Those of the call, except interruptions.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
