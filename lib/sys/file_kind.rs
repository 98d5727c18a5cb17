use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;

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
