use std::fs::FileType;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use rustix::fs::fstat;

/// What a file is, in words for messages.
#[must_use]
pub fn kind_in_words(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_file() => "a regular file",
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Whether a descriptor is an end of a pipe or a FIFO.
#[must_use]
pub fn is_pipe(fd: impl AsFd) -> bool {
    fstat(fd).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_fifo())
}
