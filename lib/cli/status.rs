//! Exit status (S3, S4): 0 done, 1 failed, 2 usage. This is the only place that prints errors.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use super::message::chain;
use super::{advice, legible, message_line, panics, terminal, warning_limit};
use crate::sys::outlive_file_size_limit;

/// Why a filter failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line makes no sense: status 2.
    #[error("{0}")]
    Usage(String),
    /// The work failed: status 1.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A failure of the work.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    /// Whether the reader of our standard output went away: it has said why, so we stay quiet (S3).
    fn is_broken_pipe(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        let is_broken_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        chain(&**error).filter_map(|error| error.downcast_ref()).any(is_broken_pipe)
    }
}

/// Runs a filter and turns its result into an exit status, with one line on stderr when it failed. A panic ends the process
/// by `exit`.
pub fn run(tool: &str, exit: fn(i32) -> !, filter: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    panics::end_by(exit, tool);
    outlive_file_size_limit();
    let done = filter();
    // Whatever is printed from here on stays on the screen.
    terminal::clear_progress();
    for line in warning_limit::summary(tool) {
        // Nothing is left to try when stderr is gone.
        let _ = terminal::say(format!("{line}\n").as_bytes());
    }
    let Err(failure) = done else { return ExitCode::SUCCESS };
    let (status, quiet) = match &failure {
        Failure::Usage(_) => (2, false),
        Failure::Failed(_) => (1, failure.is_broken_pipe()),
    };
    if !quiet {
        let error: &(dyn Error + 'static) = match &failure {
            Failure::Usage(_) => &failure,
            Failure::Failed(error) => &**error,
        };
        let mut line = message_line(tool, error);
        if let Some(advice) = advice(error) {
            line.push_str(&format!(" ({})", legible(&advice)));
        }
        // Nothing is left to try when stderr is gone too.
        let _ = terminal::say(format!("{line}\n").as_bytes());
    }
    ExitCode::from(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_found_under_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("writing")]
        struct Wrapped(#[source] io::Error);
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(Failure::failed(broken()).is_broken_pipe());
        assert!(Failure::failed(Wrapped(broken())).is_broken_pipe());
        assert!(!Failure::failed(Wrapped(io::Error::other("no"))).is_broken_pipe());
    }
}
