//! Reads small files of the user: settings, credentials, certificates.
//!
//! Their names may refer to anything: a directory, an endless device, a FIFO without a writer. So they are opened
//! without waiting, the number of bytes is limited, and pipes have a time limit. The content of a pipe is kept, since
//! it can be read only once, but several parts of a run may need it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::file_kind::kind_in_words;
use super::locked;
use super::open::open_to_read;
use super::wait::wait_at_most;

/// What is allowed in place of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    /// Nothing; for names found in a directory, where nobody would put a pipe for us.
    Refused,
    /// A pipe that ends within this time, such as a shell's `<(...)` or /dev/stdin, or a terminal.
    Awaited(Duration),
}

/// Why a small file cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmallFileError {
    /// The system's error.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// It is not a file.
    #[error("is {0} where a file is due")]
    Kind(&'static str),
    /// It is too long.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    /// A pipe did not end in time.
    #[error("is {0} that does not come to its end in {1} s")]
    Endless(&'static str, u64),
    /// A FIFO has no writer.
    #[error("is a FIFO that nobody has written to in {0} s")]
    Silent(u64),
}

/// The contents of pipes that were read, by device and inode.
static PIPES: Mutex<BTreeMap<(u64, u64), PipeContent>> = Mutex::new(BTreeMap::new());

type PipeContent = Result<Vec<u8>, SmallFileError>;

/// Reads the file at `path`, which may have at most `max` bytes.
///
/// # Errors
/// When there is none ([`SmallFileError::is_absent`]), or it cannot be read, is longer, or is not a file.
pub fn read_small_file(path: &Path, max: u64, pipes: Pipes) -> Result<Vec<u8>, SmallFileError> {
    let file = open_to_read(path)?;
    let meta = file.metadata()?;
    let kind = meta.file_type();
    match pipes {
        _ if meta.is_file() => read(&file, max, None),
        Pipes::Awaited(patience) if kind.is_char_device() => read(&file, max, Some((patience, kind_in_words(kind)))),
        Pipes::Awaited(patience) if kind.is_fifo() => read_once(&file, &meta, max, patience),
        _ => Err(SmallFileError::Kind(kind_in_words(kind))),
    }
}

impl SmallFileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound};
        matches!(self, Self::Io(error) if matches!(error.kind(), NotFound | NotADirectory))
    }
}

impl From<io::Error> for SmallFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Reads a pipe, or returns what was read from it before.
fn read_once(file: &File, meta: &Metadata, max: u64, patience: Duration) -> Result<Vec<u8>, SmallFileError> {
    // A second thread waits for the first one to finish reading.
    let mut known = locked(&PIPES);
    let content = known.entry((meta.dev(), meta.ino()));
    content.or_insert_with(|| read(file, max, Some((patience, kind_in_words(meta.file_type()))))).clone()
}

/// Reads to the end; with a time limit, if given, for anything but a regular file.
fn read(file: &File, max: u64, pipe: Option<(Duration, &'static str)>) -> Result<Vec<u8>, SmallFileError> {
    let start = Instant::now();
    let mut bytes = Vec::new();
    let mut awaited = pipe.is_none();
    loop {
        let rest = max.saturating_add(1).saturating_sub(bytes.len() as u64);
        match file.take(rest).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > max => return Err(SmallFileError::TooLong(max)),
            // A FIFO appears to be at its end until it has a writer.
            Ok(_) if bytes.is_empty() && !awaited && is_fifo(file)? => awaited = true,
            Ok(_) => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => awaited = true,
            Err(error) => return Err(error.into()),
        }
        let Some((patience, kind)) = pipe else { return Err(io::Error::from(io::ErrorKind::WouldBlock).into()) };
        let left = patience.saturating_sub(start.elapsed());
        if left.is_zero() || !wait_at_most(file.as_fd(), PollFlags::IN, Some(left))? {
            let seconds = patience.as_secs();
            let is_silent = bytes.is_empty() && is_fifo(file)?;
            return Err(if is_silent {
                SmallFileError::Silent(seconds)
            } else {
                SmallFileError::Endless(kind, seconds)
            });
        }
    }
}

fn is_fifo(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::test_pipes::pipe;

    const PATIENCE: Duration = Duration::from_millis(300);
    const AWAITED: Pipes = Pipes::Awaited(PATIENCE);

    fn said(path: &Path, pipes: Pipes) -> String {
        match read_small_file(path, 10, pipes) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn files_and_what_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        let socket = dir.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for pipes in [Pipes::Refused, AWAITED] {
            assert_eq!(said(&path, pipes), "0123456789");
            assert_eq!(said(dir.path(), pipes), "is a directory where a file is due");
            assert!(read_small_file(&socket, 10, pipes).is_err());
            assert!(read_small_file(&path, 9, pipes).unwrap_err().to_string().contains("longer than 9 bytes"));
            for absent in [dir.path().join("none"), path.join("below")] {
                assert!(read_small_file(&absent, 10, pipes).unwrap_err().is_absent());
            }
        }
        assert_eq!(said(Path::new("/dev/null"), AWAITED), "");
        assert_eq!(said(Path::new("/dev/zero"), AWAITED), "is longer than 10 bytes");
        assert_eq!(said(Path::new("/dev/null"), Pipes::Refused), "is a device where a file is due");
    }

    /// All in one directory and one test: an inode that is used again would be taken for the pipe that it was.
    #[cfg(not(target_vendor = "apple"))]
    #[test]
    fn a_fifo_is_read_once_and_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let [silent, held, written] = ["silent", "held", "written"].map(|name| dir.path().join(name));
        [&silent, &held, &written].into_iter().for_each(|path| crate::sys::test_pipes::make_fifo(path));
        assert_eq!(said(&silent, Pipes::Refused), "is a FIFO where a file is due");
        assert_eq!(said(&silent, AWAITED), "is a FIFO that nobody has written to in 0 s");
        // Its writer writes something, but does not close it.
        let mut writer = File::options().read(true).write(true).open(&held).unwrap();
        writer.write_all(b"half").unwrap();
        assert_eq!(said(&held, AWAITED), "is a FIFO that does not come to its end in 0 s");

        let late = written.clone();
        let writing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut fifo = File::options().write(true).open(late).unwrap();
            for part in ["one", " ", "two"] {
                fifo.write_all(part.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let patient = Pipes::Awaited(Duration::from_secs(20));
        assert_eq!(said(&written, patient), "one two");
        writing.join().unwrap();
        assert_eq!(said(&written, patient), "one two");
    }

    #[test]
    fn a_pipe_is_read_by_its_name_in_dev() {
        let (reader, mut writer) = pipe();
        writer.write_all(b"secret").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(said(Path::new(&path), AWAITED), "secret");
        assert_eq!(said(Path::new(&path), AWAITED), "secret");
    }
}
