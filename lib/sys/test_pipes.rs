//! Pipes for tests, with and without a name, on systems that make them in different ways.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::File;
#[cfg(not(target_vendor = "apple"))]
use std::path::Path;

/// The two ends of a new pipe: where to read, and where to write.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

/// The two ends of a new pipe: where to read, and where to write.
#[cfg(target_vendor = "apple")]
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    for end in [&reader, &writer] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC).unwrap();
    }
    (reader.into(), writer.into())
}

/// Makes a FIFO. macOS has a program for that, which unit tests do not run, and no call that needs no unsafe code.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn make_fifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).unwrap();
}
