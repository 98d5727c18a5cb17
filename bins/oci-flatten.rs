//! Squashes the layers of a layer manifest into one canonical tar on standard output.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use oci2ext4::cli::{self, Failure, OciFlatten};
use oci2ext4::flatten::{Error, flatten};

const TOOL: &str = "oci-flatten";

fn main() -> ExitCode {
    cli::run(TOOL, || {
        let answered = cli::completions::<OciFlatten>(std::env::args_os(), &mut io::stdout())?;
        if answered { Ok(()) } else { run(&OciFlatten::parse()) }
    })
}

fn run(options: &OciFlatten) -> Result<(), Failure> {
    options.common.start_logging(TOOL);
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let manifest = if options.no_manifest { None } else { Some(open(options.manifest.as_deref())?) };
    let flattened = flatten(manifest, &options.options(epoch.as_deref())?).map_err(Failure::failed)?;
    flattened.write_to_fd(io::stdout().as_fd()).map_err(Failure::failed)?;
    Ok(())
}

fn open(path: Option<&Path>) -> Result<Box<dyn BufRead + Send>, Failure> {
    match path.filter(|path| *path != Path::new("-")) {
        None => Ok(Box::new(BufReader::new(io::stdin()))),
        Some(path) => {
            let file = File::open(path).map_err(|source| Error::Path { path: path.into(), source });
            Ok(Box::new(BufReader::new(file.map_err(Failure::failed)?)))
        }
    }
}
