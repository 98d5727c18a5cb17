//! Fetches a container image: its layers into a blob store, its layer manifest to standard output.

use std::io::{self, Write};
use std::process::{self, ExitCode};

use oci2ext4::cli::{self, AtPath, Failure, OciFetch, Output};
use oci2ext4::image::layer_manifest::{Record, Writer};
use oci2ext4::source;
use oci2ext4::sys::{Replaced, WaitingWriter};

const TOOL: &str = "oci-fetch";

fn main() -> ExitCode {
    cli::run(TOOL, process::exit, || cli::command_line::<OciFetch>()?.map_or(Ok(()), |options| fetch(&options)))
}

fn fetch(options: &OciFetch) -> Result<(), Failure> {
    options.common.start_logging(TOOL);
    if let Some(age) = options.prune {
        return source::prune(&options.options(true)?, age).map(drop).map_err(Failure::failed);
    }
    let locator = options.locator()?;
    let config = options.config.as_deref().map(Output::create).transpose().map_err(Failure::failed)?;
    config.iter().try_for_each(Output::require_other_than_stdout).map_err(Failure::failed)?;
    let progress = cli::fetch_progress(options.common.progress(), TOOL);
    let options = options.options(locator.needs_store())?;
    cli::while_read(move || {
        let start = if cli::is_kept() { Writer::to_be_kept } else { Writer::new };
        let mut manifest = start(WaitingWriter(io::stdout()));
        let fetched = source::fetch(&locator, &options, &progress, &mut manifest);
        cli::clear_progress();
        let fetched = fetched.map_err(Failure::failed)?;
        cli::require_reader()?;
        let config = config.map(|output| {
            let Some(bytes) = &fetched else {
                return Err(Failure::failed(format!("{locator}: has no image config for --config")));
            };
            output.file().write_all(bytes).map_err(|error| Failure::failed(AtPath::new(output.target(), error)))?;
            output.replace().map_err(Failure::failed)
        });
        let config = config.transpose()?;
        // A reader of the end record may rely on the config; without that record, the old config is restored (S9).
        manifest.write(&Record::End).map_err(Failure::failed)?;
        config.into_iter().for_each(Replaced::keep);
        Ok(())
    })
}
