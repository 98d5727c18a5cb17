//! `--completions SHELL`: a filter generates shell completions from its own flags, so they cannot drift.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::Failure;

/// Answers a command line that is `--completions SHELL` and nothing else; `false` for any other.
///
/// Called before the flags are parsed, since others may be mandatory.
///
/// # Errors
/// When the shell is unknown (usage), or `out` cannot be written.
pub(super) fn completions<T: CommandFactory>(
    mut words: impl Iterator<Item = OsString>,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let flag = words.nth(1).unwrap_or_default();
    let name = match flag.to_str().and_then(|flag| flag.strip_prefix("--completions")) {
        Some("") => words.next().unwrap_or_default().to_string_lossy().into_owned(),
        Some(rest) if rest.starts_with('=') => rest[1..].to_owned(),
        _ => return Ok(false),
    };
    if words.next().is_some() {
        return Err(Failure::Usage("--completions SHELL goes alone".into()));
    }
    let shell = Shell::from_str(&name, false).map_err(|_| {
        let shells = Shell::value_variants().iter().map(ToString::to_string).collect::<Vec<_>>();
        Failure::Usage(format!("--completions takes one of {}", shells.join(", ")))
    })?;
    let mut command = T::command();
    let tool = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, tool, &mut script);
    out.write_all(&script).map_err(|error: io::Error| Failure::failed(error))?;
    Ok(true)
}
