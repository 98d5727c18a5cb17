//! The command line of `tar2ext4`, documented in tar2ext4(1).

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Parser;

use super::output::output_name;
use super::size::split_decimal;
use super::{Common, Failure, Output, OutputError, UuidChoice, parse_size};
use crate::ext4::{Free, Journal, Options, Percent};

const ABOUT: &str = "Pack a tar stream into an ext4 image";

const EXAMPLES: &str = "\
Examples:
  oci-fetch nginx | oci-flatten | tar2ext4 -o rootfs.ext4
  tar2ext4 -o data.ext4 -L data --free 20% backup.tar.zst
  mmdebstrap bookworm - | tar2ext4 -o debian.ext4 -s 2G -J
  tar -C tree -cf - . | tar2ext4 -o disk.img --offset 1MiB --size 2G --json

Exit status: 0 done, 1 failed (then -o is as it was), 2 wrong usage.";

/// Pack a tar stream into an ext4 image.
///
/// Reads a tar (plain or compressed) from TAR or from standard input and writes an ext4 file system with the same
/// tree. The file named by -o appears, or is replaced, only when everything went well. No root, no mount.
#[derive(Clone, Debug, Parser)]
#[command(name = "tar2ext4", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub struct Tar2ext4 {
    /// The image: a regular file, replaced as a whole, or a block device, written in place
    #[arg(short, long, value_name = "FILE", value_parser = output_name())]
    pub output: PathBuf,
    /// The tar; standard input without it or with -
    #[arg(value_name = "TAR")]
    pub tar: Option<PathBuf>,
    /// Size of the file system: exactly so many bytes (K, M, G, T are powers of 1024)
    #[arg(short, long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,
    /// Without --size, space that can be written: a size or a percentage of the image [default: 10%, at least 16M]
    #[arg(long, value_name = "SIZE|PCT%", value_parser = parse_free, conflicts_with = "size")]
    pub free: Option<Free>,
    /// Volume label, at most 16 bytes
    #[arg(short = 'L', long, value_name = "TEXT")]
    pub label: Option<OsString>,
    /// UUID of the file system, or random, time, clear [default: random, or from the content when SOURCE_DATE_EPOCH is set]
    #[arg(short = 'U', long, value_name = "UUID")]
    pub uuid: Option<UuidChoice>,
    /// At least so many inodes: all block groups have equally many, a multiple of 16
    #[arg(short = 'N', long, value_name = "N")]
    pub inodes: Option<u32>,
    /// One inode for so many bytes of image
    #[arg(short = 'i', long, value_name = "BYTES", value_parser = parse_size, conflicts_with = "inodes")]
    pub bytes_per_inode: Option<u64>,
    /// With a journal, of this size or as large as mke2fs makes it
    #[arg(short = 'J', long, value_name = "SIZE", value_parser = parse_journal, num_args = 0..=1, require_equals = true,
          default_missing_value = "auto")]
    pub journal: Option<Journal>,
    /// Add a dm-verity hash tree behind the file system or in FILE, and print its root hash; --free is then 0
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "journal")]
    pub verity: Option<Option<PathBuf>>,
    /// Percentage of blocks that only root may use
    #[arg(short = 'm', long, value_name = "PCT", value_parser = parse_percent, default_value = "0")]
    pub reserved: Percent,
    /// Only features that kernels and boot loaders of 2016 know: no metadata_csum
    #[arg(long)]
    pub compat: bool,
    /// Store runs of zeros, do not make them holes
    #[arg(long)]
    pub no_sparse: bool,
    /// Write the file system so many bytes into an existing disk image or device, and touch nothing else of it
    #[arg(long, value_name = "BYTES", value_parser = parse_size, requires = "size")]
    pub offset: Option<u64>,
    /// Be on disk before succeeding: no power cut can leave a spoilt image
    #[arg(long)]
    pub fsync: bool,
    /// Print a report on standard output: size, blocks, inodes, UUID, label
    #[arg(long)]
    pub json: bool,
    /// Accept a tar that ends without its end marker, which may have been cut
    #[arg(long)]
    pub allow_missing_eof: bool,
    /// What all filters have.
    #[command(flatten)]
    pub common: Common,
}

impl Tar2ext4 {
    /// Opens the output.
    ///
    /// # Errors
    /// As [`Output::create`] and [`Output::in_place`].
    pub fn open_output(&self) -> Result<Output, OutputError> {
        let output = match self.offset {
            Some(_) => Output::in_place(&self.output),
            None => Output::create(&self.output),
        }?;
        if self.json {
            output.require_other_than_stdout()?;
        }
        Ok(output)
    }

    /// The properties of the image that the flags ask for.
    ///
    /// # Errors
    /// [`Failure::Usage`] for values that no image can have.
    pub fn image_options(&self) -> Result<Options, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let label = self.label.as_ref().map(|label| label.as_bytes().to_vec()).unwrap_or_default();
        if label.len() > 16 {
            return usage(format!("--label: {} bytes, ext4 has room for 16", label.len()));
        }
        if label.contains(&0) {
            return usage("--label: holds NUL".to_owned());
        }
        let offset = self.offset.unwrap_or(0);
        if offset % 512 != 0 {
            return usage(format!("--offset: {offset} is no multiple of 512, where a partition could start"));
        }
        Ok(Options {
            size: self.size,
            free: self.free.unwrap_or(if self.verity.is_some() { Free::Bytes(0) } else { Free::Default }),
            label,
            inodes: self.inodes,
            bytes_per_inode: self.bytes_per_inode,
            journal: self.journal,
            reserved: self.reserved,
            compat: self.compat,
            no_sparse: self.no_sparse,
            offset,
        })
    }
}

fn parse_free(text: &str) -> Result<Free, String> {
    if text.ends_with('%') {
        return parse_percent(text).map(Free::Percent);
    }
    parse_size(text).map(Free::Bytes).map_err(|error| error.to_string())
}

fn parse_journal(text: &str) -> Result<Journal, String> {
    if text == "auto" {
        return Ok(Journal::Auto);
    }
    parse_size(text).map(Journal::Bytes).map_err(|error| error.to_string())
}

/// `5`, `2.5`, `10%`: at most two decimals and at most 100.
fn parse_percent(text: &str) -> Result<Percent, String> {
    let malformed = || format!("{text:?} is no percentage: a number from 0 to 100, at most two decimals");
    let number = text.strip_suffix('%').unwrap_or(text);
    let (whole, fraction) = split_decimal(number, 2).ok_or_else(malformed)?;
    let whole: u32 = whole.parse().map_err(|_| malformed())?;
    let hundredths = whole.checked_mul(100).and_then(|whole| whole.checked_add(fraction));
    match hundredths {
        Some(hundredths @ 0..=10_000) => Ok(Percent::from_hundredths(hundredths)),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn parse(args: &[&str]) -> Result<Tar2ext4, clap::Error> {
        Tar2ext4::try_parse_from(["tar2ext4", "-o", "x"].iter().chain(args))
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Tar2ext4::command().debug_assert();
    }

    #[test]
    fn free_space_is_a_size_or_a_percentage() {
        assert_eq!(parse(&["--free", "64M"]).unwrap().free, Some(Free::Bytes(64 << 20)));
        let percent = Free::Percent(Percent::from_hundredths(1250));
        assert_eq!(parse(&["--free", "12.5%"]).unwrap().free, Some(percent));
        assert!(parse(&["--free", "101%"]).is_err());
        assert!(parse(&["--free", "1.234%"]).is_err());
        assert!(parse(&["--free", "5%", "--size", "1G"]).is_err());
    }

    #[test]
    fn the_journal_takes_its_size_after_an_equals_sign() {
        assert_eq!(parse(&["-J", "in.tar"]).unwrap().journal, Some(Journal::Auto));
        assert_eq!(parse(&["--journal=8M", "in.tar"]).unwrap().journal, Some(Journal::Bytes(8 << 20)));
        assert_eq!(parse(&["-J=8M"]).unwrap().journal, Some(Journal::Bytes(8 << 20)));
        assert_eq!(parse(&[]).unwrap().journal, None);
    }

    #[test]
    fn an_image_with_a_hash_tree_has_no_journal_and_no_free_space() {
        assert!(parse(&["--verity", "-J"]).is_err());
        assert!(parse(&["--verity=tree", "-J=8M"]).is_err());
        let free = |args: &[&str]| parse(args).unwrap().image_options().unwrap().free;
        assert_eq!(free(&["--verity"]), Free::Bytes(0));
        assert_eq!(free(&["--verity", "--free", "1M"]), Free::Bytes(1 << 20));
        assert_eq!(parse(&["--verity", "in.tar"]).unwrap().verity, Some(None));
        assert_eq!(parse(&["--verity=tree"]).unwrap().verity, Some(Some("tree".into())));
    }

    #[test]
    fn an_offset_needs_a_size_and_a_sector() {
        assert!(parse(&["--offset", "1M"]).is_err());
        assert!(parse(&["--offset", "1M", "-s", "4M"]).unwrap().image_options().is_ok());
        assert!(parse(&["--offset", "1000", "-s", "4M"]).unwrap().image_options().is_err());
    }

    #[test]
    fn a_label_has_16_bytes_at_most() {
        assert!(parse(&["-L", "0123456789abcdef"]).unwrap().image_options().is_ok());
        assert!(parse(&["-L", "0123456789abcdefg"]).unwrap().image_options().is_err());
    }
}
