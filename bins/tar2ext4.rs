//! `tar2ext4`: a tar stream on standard input becomes an ext4 image.

use std::fs::File;
use std::io::{self, IsTerminal, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use oci2ext4::cli::{self, At, Failure, Output, Tar2ext4, WatchedInput};
use oci2ext4::ext4::{self, FreshFile, Identity, InPlace, Report, WriteBehind};
use oci2ext4::meta::Timestamp;
use oci2ext4::pack::{self, Identify, PackOptions};
use uuid::Uuid;

const TOOL: &str = "tar2ext4";

fn main() -> ExitCode {
    cli::run(TOOL, || cli::command_line::<Tar2ext4>()?.map_or(Ok(()), |args| tar2ext4(&args)))
}

fn tar2ext4(args: &Tar2ext4) -> Result<(), Failure> {
    args.common.start_logging(TOOL);
    let mut image = args.image_options()?;
    let identity = identify(args)?;
    let input = open_input(args.tar.as_deref())?;
    let output = match args.offset {
        Some(_) => Output::in_place(&args.output),
        None => Output::create(&args.output),
    };
    let output = output.map_err(Failure::failed)?;
    if output.writes_over(&input) {
        return Err(at(&args.output, io::Error::other("is the input too")));
    }
    let mut file = output.file().try_clone().map_err(|e| at(&args.output, e))?;
    if file.metadata().is_ok_and(|meta| meta.file_type().is_block_device()) {
        let device = file.seek(SeekFrom::End(0)).map_err(|e| at(&args.output, e))?;
        let end = image.offset.checked_add(image.size.unwrap_or(device));
        if end.is_none_or(|end| end > device) {
            return Err(at(&args.output, io::Error::other(format!("the device has only {device} bytes"))));
        }
        image.size.get_or_insert(device);
    }
    let options = PackOptions { image, identity, allow_missing_eof: args.allow_missing_eof };
    let start = Instant::now();
    let progress = args.common.progress();
    let input = WatchedInput::new(input, progress);
    let no_thread = |error| at(&args.output, error);
    let report = match output.is_in_place() {
        true => pack::pack(input, WriteBehind::new(InPlace(file)).map_err(no_thread)?, &options),
        false => pack::pack(input, WriteBehind::new(FreshFile(file)).map_err(no_thread)?, &options),
    };
    cli::clear_progress();
    let report = report.map_err(|error| match error {
        pack::Error::Image(ext4::Error::Option(text)) => Failure::Usage(text),
        error if is_of_the_image(&error) => Failure::failed(At::new(&args.output, error)),
        error => match args.tar.as_deref().filter(|tar| *tar != Path::new("-")) {
            Some(tar) => Failure::failed(At::new(tar, error)),
            None => Failure::failed(error),
        },
    })?;
    output.commit(args.fsync).map_err(Failure::failed)?;
    cli::packed(progress, TOOL, report.bytes, report.inodes, start);
    log::info!("{} bytes, {} inodes in {:.2} s", report.bytes, report.inodes, start.elapsed().as_secs_f64());
    if args.json { print_json(&report).map_err(Failure::failed) } else { Ok(()) }
}

/// Whether the image, and not the archive, is what an error is about.
fn is_of_the_image(error: &pack::Error) -> bool {
    let (pack::Error::Member { problem, .. } | pack::Error::Entry { problem, .. }) = error else {
        return matches!(error, pack::Error::Image(_));
    };
    matches!(&**problem, pack::Problem::Image(ext4::Error::Write { .. } | ext4::Error::NoSpace { .. }))
}

/// From the content with `SOURCE_DATE_EPOCH`, else random and now (S6).
fn identify(args: &Tar2ext4) -> Result<Identify, Failure> {
    let uuid = args.uuid.map(Uuid::into_bytes);
    if let Some(now) = cli::source_date_epoch()? {
        return Ok(Identify::ByContent { uuid, now });
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp { secs: now.as_secs().cast_signed(), nanos: now.subsec_nanos() };
    let uuid = uuid.map_or_else(random, Ok)?;
    Ok(Identify::As(Identity { uuid, hash_seed: random()?, now }))
}

/// A random UUID, by the system call alone: a minimal root has no /dev/urandom, and a static program no other way to it.
fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(io::Error::from);
    match got.map_err(Failure::failed)? {
        16 => Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes()),
        short => Err(Failure::failed(format!("the system gave {short} of 16 random bytes"))),
    }
}

fn open_input(path: Option<&Path>) -> Result<File, Failure> {
    if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        let file = File::open(path).map_err(|error| at(path, error))?;
        if file.metadata().map_err(|error| at(path, error))?.is_dir() {
            let path = path.display();
            return Err(Failure::failed(format!("{path}: is a directory: pipe tar -C {path} -cf - . into tar2ext4")));
        }
        return Ok(file);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::Usage("standard input is a terminal: pipe a tar into tar2ext4 or name one".to_owned()));
    }
    let fd = stdin.as_fd().try_clone_to_owned().map_err(Failure::failed)?;
    // A larger pipe saves switches between the filters; files and old kernels refuse, which is fine.
    let _ = rustix::pipe::fcntl_setpipe_size(&fd, 1 << 20);
    Ok(fd.into())
}

fn print_json(report: &Report) -> io::Result<()> {
    let json = serde_json::json!({
        "size": report.bytes,
        "block_size": ext4::BLOCK_SIZE,
        "blocks": report.blocks,
        "free_blocks": report.free_blocks,
        "inodes": report.inodes,
        "free_inodes": report.free_inodes,
        "uuid": Uuid::from_bytes(report.uuid).to_string(),
        "label": String::from_utf8_lossy(&report.label),
    });
    writeln!(io::stdout().lock(), "{json}")
}

fn at(path: &Path, error: io::Error) -> Failure {
    Failure::failed(At::new(path, error))
}
