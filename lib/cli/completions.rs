//! `--completions SHELL`: a filter writes the shell completions for its own flags, so that they cannot drift.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::Failure;

/// Answers a command line that is `--completions SHELL` and nothing else; `false` for any other.
///
/// It is asked before the flags are parsed, since the other flags may be mandatory. It is for `make install`, not
/// for users, and no flag of the help.
///
/// # Errors
/// When the shell is unknown (usage), or `out` cannot be written.
pub(super) fn completions<T: CommandFactory>(
    mut words: impl Iterator<Item = OsString>,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    if words.nth(1).is_none_or(|flag| flag != "--completions") {
        return Ok(false);
    }
    let name = words.next().unwrap_or_default();
    let shell = Shell::from_str(&name.to_string_lossy(), false)
        .map_err(|_| Failure::Usage("--completions takes one of bash, zsh, fish".into()))?;
    let mut command = T::command();
    let tool = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, tool, &mut script);
    out.write_all(&script).map_err(|error: io::Error| Failure::failed(error))?;
    Ok(true)
}
