//! The command line of `oci-fetch`, documented in oci-fetch(1).

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::output::output_name;
use super::{Common, Failure, parse_age};
use crate::image::Platform;
use crate::registry::{self, Secret};
use crate::source::{self, Locator};
use crate::sys::WaitingReader;

const ABOUT: &str = "Fetch a container image and say where its layers are";

const EXAMPLES: &str = "\
IMAGE is one of
  nginx, nginx:1.21, host:port/repo@sha256:...   in a registry
  oci:DIR[:TAG], oci-archive:FILE[:TAG]          an OCI image layout, a tar of one
  docker-archive:FILE[:REF]                      what docker save writes
  overlay2:DIR                                   a layer of Docker or Podman
  /path, ./path, ../path, -                      one of these, by its content

Examples:
  oci-fetch nginx | oci-flatten | tar2ext4 -o rootfs.ext4
  oci-fetch --platform linux/arm64 --config alpine.json alpine:3.20 > alpine.layers
  oci-fetch --username ci --password-stdin example.com/app:1 < token > app.layers
  oci-fetch -d ./store --offline nginx | jq -r 'select(.digest).digest'
  docker save app | oci-fetch - | oci-flatten > app.tar

Exit status: 0 done, 1 failed (then no 'end' record is written), 2 wrong usage.";

/// Fetch a container image and say where its layers are.
///
/// Brings the image's blobs into a store, an OCI image layout that any number of runs share, and prints the layer
/// manifest: one line of JSON for the image, one for each layer as soon as it is whole, one for the end.
#[derive(Clone, Debug, Parser)]
#[command(name = "oci-fetch", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub struct OciFetch {
    /// The image
    #[arg(value_name = "IMAGE", required_unless_present = "prune")]
    pub image: Option<String>,
    /// The blob store [default: $XDG_CACHE_HOME/oci-fetch]
    #[arg(short, long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Use the blob store though others may write to it
    #[arg(long)]
    pub shared_store: bool,
    /// Fetch nothing: remove from the blob store what was not used for AGE (30d, 12h)
    #[arg(long, value_name = "AGE", value_parser = parse_age, conflicts_with = "image")]
    pub prune: Option<Duration>,
    /// The platform: OS/ARCH[/VARIANT] [default: linux and this machine's architecture]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Parallel downloads
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Use only what the blob store has
    #[arg(long)]
    pub offline: bool,
    /// Allow plain HTTP where HTTPS does not answer
    #[arg(long)]
    pub insecure: bool,
    /// Accept any certificate
    #[arg(long)]
    pub tls_no_verify: bool,
    /// Trust the certificate authorities in this file too (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Credentials, as docker login or podman login writes them
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// User name for the registry
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Use no credentials, whatever is stored
    #[arg(long, conflicts_with_all = ["username", "authfile"])]
    pub no_creds: bool,
    /// Also write the image's config to this file
    #[arg(long, value_name = "FILE", value_parser = output_name())]
    pub config: Option<PathBuf>,
    /// Give up on a connection after so many seconds without a byte
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: u32,
    /// Further attempts after a failed one
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retries: u32,
    /// What all filters have.
    #[command(flatten)]
    pub common: Common,
}

impl OciFetch {
    /// Where the image is.
    ///
    /// # Errors
    /// When the name makes no sense, or the image would be read from a terminal.
    pub fn locator(&self) -> Result<Locator, Failure> {
        let locator = Locator::parse(self.image.as_deref().unwrap_or_default()).map_err(Failure::failed)?;
        if locator.is_stdin() && io::stdin().is_terminal() {
            let what = "standard input is a terminal: pipe an archive in, as in docker save app | oci-fetch -";
            return Err(Failure::Usage(what.into()));
        }
        Ok(locator)
    }

    /// The options in the library's terms.
    ///
    /// # Errors
    /// When there is no directory for the blob store, but one is needed.
    pub fn options(&self, needs_store: bool) -> Result<source::Options, Failure> {
        let user = match (&self.username, self.password_stdin) {
            (Some(user), true) => Some((user.clone(), read_password()?)),
            _ => None,
        };
        let registry = registry::Options {
            timeout: Duration::from_secs(self.timeout.into()),
            retries: self.retries,
            insecure: self.insecure,
            tls_no_verify: self.tls_no_verify,
            ca_cert: self.ca_cert.clone(),
            identity: self.cert.clone().zip(self.key.clone()),
            user,
            authfile: self.authfile.clone(),
            anonymous: self.no_creds,
        };
        Ok(source::Options {
            store: self.store().or_else(|error| if needs_store { Err(error) } else { Ok(PathBuf::new()) })?,
            shared_store: self.shared_store,
            platform: self.platform.clone(),
            jobs: self.jobs.into(),
            offline: self.offline,
            registry,
        })
    }

    fn store(&self) -> Result<PathBuf, Failure> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = || absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        let dir = self.dir.clone().or_else(|| Some(cache()?.join("oci-fetch")));
        dir.ok_or_else(|| Failure::Usage("no place for the blob store: neither --dir nor HOME is set".into()))
    }
}

/// Reads the password from standard input, without a trailing line break.
fn read_password() -> Result<Secret, Failure> {
    const LONGEST: u64 = 64 << 10;
    let mut text = Vec::new();
    let read = WaitingReader(io::stdin().lock()).take(LONGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Failure::failed(format!("--password-stdin: standard input: {error}")))?;
    if text.len() as u64 > LONGEST {
        let what = format!("--password-stdin: standard input has more than the {LONGEST} bytes of a password");
        return Err(Failure::failed(what));
    }
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() {
        Err(Failure::Usage("--password-stdin: no password on standard input".into()))
    } else {
        Ok(Secret::new(text))
    }
}
