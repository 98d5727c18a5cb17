//! `tar2ext4`: a tar stream on standard input becomes an ext4 image.

use std::io;
use std::process::{self, ExitCode};
use std::time::Instant;

use oci2ext4::cli::{self, AtPath, Failure, Refusals, Tar2ext4, WatchedInput};
use oci2ext4::ext4::{FreshFile, InPlace, WriteBehind};
use oci2ext4::pack::{self, PackOptions};
use oci2ext4::sys::WaitingWriter;

const TOOL: &str = "tar2ext4";

const REFUSALS: Refusals = Refusals {
    terminal: "pipe a tar into tar2ext4 or name one",
    directory: |path| format!(": pipe tar -C {path} -cf - . into tar2ext4"),
};

fn main() -> ExitCode {
    cli::run(TOOL, process::exit, || cli::command_line::<Tar2ext4>()?.map_or(Ok(()), |args| tar2ext4(&args)))
}

fn tar2ext4(args: &Tar2ext4) -> Result<(), Failure> {
    args.common.start_logging(TOOL);
    let image = args.image_options()?;
    let identity = args.identify()?;
    let input = cli::open_input(args.tar.as_deref(), REFUSALS)?;
    let at_output = |error| Failure::failed(AtPath::new(&args.output, error));
    let output = args.open_output().map_err(Failure::failed)?;
    if output.writes_over(&input) {
        return Err(at_output(io::Error::other("is the input too")));
    }
    let tree = args.open_tree(&output)?;
    let image = output.fit(image, args.has_tree_behind()).map_err(at_output)?;
    let room = output.room(image.offset, args.has_tree_behind()).map_err(at_output)?;
    let options = PackOptions { image, identity, allow_missing_eof: args.allow_missing_eof };
    let (start, progress) = (Instant::now(), args.common.progress());
    let input = WatchedInput::new(input, progress, TOOL);
    let file = output.file().try_clone().map_err(at_output)?;
    let report = if output.is_in_place() {
        pack::pack(input, WriteBehind::new(InPlace(file)).map_err(at_output)?, &options)
    } else {
        pack::pack(input, WriteBehind::new(FreshFile(file)).map_err(at_output)?, &options)
    };
    cli::clear_progress();
    let report = report.map_err(|error| args.failure(error, room))?;
    let verity = tree.as_ref().map(|tree| args.write_tree(tree, &output, &report)).transpose()?;
    let reported = args.write_report(TOOL, &report, verity.as_ref(), &mut WaitingWriter(io::stdout()));
    reported.map_err(|error| Failure::failed(AtPath::new("standard output".as_ref(), error)))?;
    tree.map_or(Ok(()), |tree| tree.commit(args.fsync))?;
    output.commit(args.fsync).map_err(Failure::failed)?;
    cli::packed(progress, TOOL, report.bytes, report.inodes, start);
    log::info!("{} bytes, {} inodes in {:.2} s", report.bytes, report.inodes, start.elapsed().as_secs_f64());
    Ok(())
}
