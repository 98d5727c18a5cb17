//! Squashes the layers of a layer manifest into one canonical tar on standard output.

use std::io::{self, BufReader, IsTerminal};
use std::os::fd::AsFd;
use std::process::{self, ExitCode};

use oci2ext4::cli::{self, Failure, OciFlatten, Refusals};
use oci2ext4::flatten::flatten;
use oci2ext4::sys::WaitingReader;

const TOOL: &str = "oci-flatten";

const REFUSALS: Refusals = Refusals {
    terminal: "pipe oci-fetch into oci-flatten, name a manifest, or use -n with -l",
    directory: |_| ", no layer manifest: directories go with -n -l".to_owned(),
};

fn main() -> ExitCode {
    cli::run(TOOL, process::exit, || cli::command_line::<OciFlatten>()?.map_or(Ok(()), |args| run(&args)))
}

fn run(args: &OciFlatten) -> Result<(), Failure> {
    args.common.start_logging(TOOL);
    let mut options = args.options(cli::source_date_epoch()?);
    args.check()?;
    if io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "standard output is a terminal: pipe the tar somewhere or name a file after >".into(),
        ));
    }
    let manifest = if args.no_manifest {
        None
    } else {
        Some(BufReader::new(WaitingReader(cli::open_input(args.manifest.as_deref(), REFUSALS)?)))
    };
    options.progress = cli::flatten_progress(args.common.progress(), TOOL);
    cli::while_read(move || {
        let flattened = flatten(manifest, &options).map_err(Failure::failed);
        let written = flattened.and_then(|tree| tree.write_to_fd(io::stdout().as_fd()).map_err(Failure::failed));
        cli::clear_progress();
        written.map(|_| ())
    })
}
