//! The command line of `oci-flatten`, documented in oci-flatten(1).

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::size::split_decimal;
use super::{Common, Failure, parse_size};
use crate::flatten::{CacheOptions, Exclude, ExtraLayer, ExtraSource, Options};
use crate::meta::Timestamp;

const ABOUT: &str = "Squash the layers of an image into one tar";

const EXAMPLES: &str = "\
Examples:
  oci-fetch nginx | oci-flatten > rootfs.tar
  oci-fetch nginx | oci-flatten -l extra/ -l init.tar.gz | tar2ext4 -o rootfs.ext4
  oci-fetch debian:12 | oci-flatten --exclude usr/share/doc | zstd > debian.tar.zst
  oci-flatten -n -l base.tar -l diff.tar.zst --exclude '*.pyc' > merged.tar

Exit status: 0 done, 1 failed (then the tar has no end marker), 2 wrong usage.";

/// Squash the layers of an image into one tar.
///
/// Reads a layer manifest, as oci-fetch writes it, from MANIFEST or from standard input, applies the layers bottom to
/// top with their whiteouts, and writes what is left as one canonical tar to standard output: the same tree always
/// gives the same bytes.
#[derive(Clone, Debug, Parser)]
#[command(name = "oci-flatten", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub struct OciFlatten {
    /// The layer manifest; standard input without it or with -
    #[arg(value_name = "MANIFEST", conflicts_with = "no_manifest")]
    pub manifest: Option<PathBuf>,
    /// Stack one more layer on top: a tar (plain or compressed), - for one on standard input, or a directory; PATH:/DIR
    /// puts it below DIR; repeatable
    #[arg(short, long = "layer", value_name = "PATH", value_parser = extra_layer(), allow_hyphen_values = true)]
    pub layers: Vec<ExtraLayer>,
    /// Owner of all that directories given with -l bring [default: as on disk for root, else 0:0]
    #[arg(long, value_name = "ID:ID", value_parser = parse_owner, requires = "layers")]
    pub owner: Option<(u32, u32)>,
    /// Read no manifest: the layers are those of -l alone
    #[arg(short, long, requires = "layers")]
    pub no_manifest: bool,
    /// The lowest layer that the result is made of, 0 at the bottom: above others, as an overlay's upper directory
    #[arg(long, value_name = "A", default_value = "0", hide_default_value = true)]
    pub from: u32,
    /// The topmost layer that the result is made of
    #[arg(long, value_name = "B")]
    pub to: Option<u32>,
    /// Leave out what matches, with everything below it: a name anywhere, or with a / a path from the root; repeatable
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<Exclude>,
    /// Make later times of modification this one: seconds since 1970 [default: SOURCE_DATE_EPOCH if set]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_negative_numbers = true)]
    pub clamp_mtime: Option<Timestamp>,
    /// Where decoded layers are spooled, in files without a name [default: $TMPDIR, else /var/tmp or /tmp]
    #[arg(long, value_name = "DIR")]
    pub tmpdir: Option<PathBuf>,
    /// Keep decoded layers here, verified and uncompressed, so that later runs need not decode them
    #[arg(long, value_name = "DIR", env = "OCI_FLATTEN_CACHE", hide_env_values = true, value_parser = maybe_empty())]
    pub cache: Option<PathBuf>,
    /// Drop from the cache what was not used for longest, beyond this many bytes [default: never]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "cache")]
    pub cache_size: Option<u64>,
    /// How many layers to decode at once [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Do not hold the content of layers against their diffIds
    #[arg(long)]
    pub no_verify: bool,
    /// What all filters have.
    #[command(flatten)]
    pub common: Common,
}

impl OciFlatten {
    /// Refuses command lines that read two things from standard input, or leave no layers.
    ///
    /// # Errors
    /// [`Failure::Usage`]
    pub fn check(&self) -> Result<(), Failure> {
        let layers = self.layers.iter().filter(|layer| layer.source == ExtraSource::StandardInput).count();
        let manifest = !self.no_manifest && self.manifest.as_deref().is_none_or(|path| path == Path::new("-"));
        if layers > 0 && manifest {
            let hint = "name a MANIFEST, or use -n";
            return Err(Failure::Usage(format!("-l -: standard input is the layer manifest already: {hint}")));
        }
        if self.to.is_some_and(|to| to < self.from) {
            return Err(Failure::Usage("--to is a layer below --from: no layers are left".to_owned()));
        }
        if layers > 1 {
            return Err(Failure::Usage("-l -: standard input can be read once only".to_owned()));
        }
        if layers > 0 && io::stdin().is_terminal() {
            return Err(Failure::Usage("-l -: standard input is a terminal: pipe a tar into it".to_owned()));
        }
        Ok(())
    }

    /// The options in the library's terms; `epoch` is what `SOURCE_DATE_EPOCH` says.
    #[must_use]
    pub fn options(&self, epoch: Option<Timestamp>) -> Options {
        let defaults = Options::default();
        Options {
            layers: self.layers.clone(),
            owner: self.owner,
            from: self.from,
            to: self.to,
            exclude: self.exclude.clone(),
            clamp_mtime: self.clamp_mtime.or(epoch),
            tmpdir: self.tmpdir.clone(),
            cache: self.cache(),
            jobs: self.jobs.map_or(defaults.jobs, usize::from),
            verify: !self.no_verify,
            progress: None,
        }
    }

    /// An empty environment variable counts as unset.
    fn cache(&self) -> Option<CacheOptions> {
        let dir = self.cache.clone().filter(|dir| !dir.as_os_str().is_empty())?;
        Some(CacheOptions { dir, size: self.cache_size })
    }
}

fn extra_layer() -> impl TypedValueParser<Value = ExtraLayer> {
    OsStringValueParser::new().try_map(|text| ExtraLayer::parse(&text))
}

/// Two numbers, as chown(1) takes them.
fn parse_owner(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    let owner = text.split_once(':').and_then(|(user, group)| Some((number(user)?, number(group)?)));
    owner.ok_or_else(|| format!("{text:?} is no owner: two numbers are, such as 0:0"))
}

/// A path that may be empty, as an environment variable is when somebody meant to unset it.
fn maybe_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Seconds since 1970, optionally with a decimal fraction, and with a leading `@` as date(1) allows.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let malformed = || format!("{text:?} is no time: seconds since 1970 are, such as 1700000000");
    let number = text.strip_prefix('@').unwrap_or(text);
    let is_negative = number.starts_with('-');
    let (whole, nanos) = split_decimal(number.strip_prefix('-').unwrap_or(number), 9).ok_or_else(malformed)?;
    let secs: i64 = number[..whole.len() + usize::from(is_negative)].parse().map_err(|_| malformed())?;
    match (is_negative, nanos) {
        (true, 1..) => {
            let secs = secs.checked_sub(1).ok_or_else(malformed)?;
            Ok(Timestamp { secs, nanos: 1_000_000_000 - nanos })
        }
        _ => Ok(Timestamp { secs, nanos }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn parse(args: &[&str]) -> Result<OciFlatten, clap::Error> {
        OciFlatten::try_parse_from(["oci-flatten"].iter().chain(args))
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        OciFlatten::command().debug_assert();
    }

    #[test]
    fn layers_alone_or_on_a_manifest() {
        assert!(parse(&["-n", "-l", "a", "--layer", "b"]).unwrap().no_manifest);
        assert!(parse(&["-n"]).is_err());
        assert!(parse(&["-n", "-l", "a", "manifest"]).is_err());
        assert_eq!(parse(&["manifest"]).unwrap().manifest, Some("manifest".into()));
    }

    #[test]
    fn standard_input_is_read_once() {
        let check = |args: &[&str]| parse(args).unwrap().check().is_ok();
        assert!(!check(&["-l", "-"]));
        assert!(!check(&["-l", "-", "-"]));
        assert!(!check(&["-n", "-l", "-", "-l", "-:/opt"]));
        assert!(check(&["-l", "a", "-l", "b"]));
    }

    #[test]
    fn owners_are_two_numbers() {
        assert_eq!(parse_owner("0:4294967294"), Ok((0, 4_294_967_294)));
        for bad in ["", "0", "root:root", "0:", ":0", "-1:0", "0:4294967295", "0:0:0"] {
            assert!(parse_owner(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(parse_time("1700000000"), Ok(Timestamp::from_secs(1_700_000_000)));
        assert_eq!(parse_time("@-1.25"), Ok(Timestamp { secs: -2, nanos: 750_000_000 }));
        for bad in ["", "-", "now", "1.", "1e9", "--1", "1.0000000001", "99999999999999999999"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_flag_comes_before_the_environment() {
        let clamp = |args: &[&str], epoch| parse(args).unwrap().options(epoch).clamp_mtime;
        let secs = |secs| Some(Timestamp::from_secs(secs));
        assert_eq!(clamp(&[], secs(5)), secs(5));
        assert_eq!(clamp(&["--clamp-mtime", "7"], secs(5)), secs(7));
        assert_eq!(clamp(&[], None), None);
    }
}
