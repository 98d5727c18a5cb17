//! How much a filter says on stderr (S7).

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use log::LevelFilter;

use super::warning_limit;

/// When progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// A line that is drawn over when stderr is a terminal, else nothing.
    #[default]
    Auto,
    /// A line for each step and every few seconds.
    Plain,
    /// Nothing.
    None,
}

/// The flags that all filters share.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Show progress on stderr: one line on a terminal (auto), lines now and then (plain), or none
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub progress: ProgressMode,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on stderr; twice for details (as RUST_LOG=info, debug)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Write completions for this shell, and do nothing else
    #[arg(long, value_enum, value_name = "SHELL", exclusive = true)]
    pub completions: Option<Shell>,
}

impl Common {
    /// Sends `log` records to stderr: warnings by default, otherwise as -q, -v or `RUST_LOG` say.
    pub fn start_logging(&self, tool: &'static str) {
        use std::io::Write;
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::Error,
            (false, 0) => LevelFilter::Warn,
            (false, 1) => LevelFilter::Info,
            (false, _) => LevelFilter::Debug,
        };
        // Only our own records, the library's and the filter's: an HTTP library could log headers that hold secrets.
        let own = ["oci2ext4".to_owned(), tool.replace('-', "_")];
        let wanted = match (self.quiet, self.verbose, std::env::var("RUST_LOG")) {
            (false, 0, Ok(wanted)) => wanted.split(',').find_map(|part| match part.split_once('=') {
                None => part.trim().parse().ok(),
                Some((target, level)) if own.iter().any(|own| own == target.trim()) => level.trim().parse().ok(),
                Some(_) => None,
            }),
            _ => None,
        };
        let mut builder = env_logger::Builder::new();
        for module in &own {
            builder.filter_module(module, wanted.unwrap_or(level));
        }
        builder.format(move |out, record| {
            if record.level() == log::Level::Warn {
                return match warning_limit::admit(record) {
                    Some(text) => writeln!(out, "{tool}: warning: {text}"),
                    None => Ok(()),
                };
            }
            writeln!(out, "{tool}: {}", super::legible(&record.args().to_string()))
        });
        builder.target(env_logger::Target::Pipe(Box::new(super::terminal::Messages)));
        // A second call, in a test, keeps the first logger.
        let _ = builder.try_init();
    }

    /// Whether progress is drawn as one line, printed as plain lines, or not shown.
    #[must_use]
    pub fn progress(&self) -> ProgressMode {
        match self.progress {
            _ if self.quiet => ProgressMode::None,
            ProgressMode::Auto if !super::terminal::is_terminal() => ProgressMode::None,
            mode => mode,
        }
    }
}
