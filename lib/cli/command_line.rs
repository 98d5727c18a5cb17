//! Parses the command line into a filter's flags, or answers `--help`, `--version` and `--completions`.

use std::io;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use super::{Failure, completions};
use crate::sys::WaitingWriter;

/// The flags of this process; `None` when the command line asked for help or the like, which has been printed.
///
/// # Errors
/// [`Failure::Usage`] in one line (S4) when the command line makes no sense.
pub fn command_line<T: Parser + CommandFactory>() -> Result<Option<T>, Failure> {
    if completions::<T>(std::env::args_os(), &mut WaitingWriter(io::stdout()))? {
        return Ok(None);
    }
    match T::try_parse() {
        Ok(flags) => Ok(Some(flags)),
        Err(answer) if !answer.use_stderr() => answer.print().map(|()| None).map_err(Failure::failed),
        Err(mut error) => {
            // Clap suggests passing an unknown flag as a value: true, but never helpful.
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(Vec::new()));
            #[cfg(feature = "fetch")]
            hide_password(&error);
            Err(Failure::Usage(one_line(&error.render().to_string(), T::command().get_name())))
        }
    }
}

/// Keeps a password out of the message that its flag takes no value.
#[cfg(feature = "fetch")]
fn hide_password(error: &clap::Error) {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    if text(ContextKind::InvalidArg).starts_with("--password") {
        drop(crate::registry::Secret::new(text(ContextKind::InvalidValue)));
    }
}

/// Clap's paragraph as one line: the message and its tips, without the usage that `--help` shows.
fn one_line(text: &str, tool: &str) -> String {
    let said = text
        .lines()
        .map(str::trim)
        .filter(|line| !(line.is_empty() || line.starts_with("Usage: ") || line.starts_with("For more information")));
    let words = said.collect::<Vec<_>>().join(" ");
    format!("{} (see {tool} --help)", words.strip_prefix("error: ").unwrap_or(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_becomes_a_line() {
        let text = "error: the following required arguments were not provided:\n  --output <FILE>\n\n\
                    Usage: tar2ext4 --output <FILE> [TAR]\n\nFor more information, try '--help'.\n";
        let line = "the following required arguments were not provided: --output <FILE> (see tar2ext4 --help)";
        assert_eq!(one_line(text, "tar2ext4"), line);
    }
}
