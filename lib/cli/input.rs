//! A filter's input: a named file or standard input.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;

use super::{AtPath, Failure};
use crate::sys::widen_pipe;

/// The capacity to ask for on an input pipe, in bytes.
const PIPE: usize = 1 << 20;

/// What a filter says about inputs that it refuses to read.
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// When standard input is a terminal.
    pub terminal: &'static str,
    /// When the input is a directory: what to do instead.
    pub directory: fn(&str) -> String,
}

/// Opens `path`, or standard input if it is missing or `-`.
///
/// # Errors
/// When it cannot be opened, is a directory, or a terminal.
pub fn open_input(path: Option<&Path>, refusals: Refusals) -> Result<File, Failure> {
    if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        let at = |error| Failure::failed(AtPath::new(path, error));
        let file = File::open(path).map_err(at)?;
        if file.metadata().map_err(at)?.is_dir() {
            let path = path.display().to_string();
            return Err(Failure::failed(format!("{path}: is a directory{}", (refusals.directory)(&path))));
        }
        return Ok(file);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::Usage(format!("standard input is a terminal: {}", refusals.terminal)));
    }
    let fd = stdin.as_fd().try_clone_to_owned().map_err(Failure::failed)?;
    widen_pipe(&fd, PIPE);
    Ok(fd.into())
}
