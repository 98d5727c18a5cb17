//! Registries over HTTP (OCI distribution spec): challenges, tokens, credentials, mirrors, retries and resumption (R
//! rules).
//!
//! ```text
//! Repository   an image's repository: its endpoints (mirrors first), retries
//!   Endpoint   one host: HTTPS or plain HTTP, authentication
//!     Transport    requests, redirects, proxies, certificates; `destination` judges where servers send us
//!       Host         one host's client and connections: with Transport and Answer the users of reqwest
//! ```
//!
//! Addresses are shown without user and query, and secrets are not shown by `Debug`. If a server repeats a secret, it is
//! removed from messages before they are printed ([`scrub`]).

mod answer;
mod auth;
mod cancel;
mod challenge;
mod client;
mod credential;
mod credential_helper;
mod credentials;
mod destination;
mod dns;
mod docker_config;
mod download;
mod endpoint;
mod environment;
mod error;
mod failure;
mod go_json;
mod http_versions;
mod mirrors;
mod normal_form;
mod p521;
mod proxy;
mod registries_conf;
mod repository;
mod retry;
mod roots;
mod runtime;
mod secret;
mod self_signed;
mod time_allowance;
mod tls;
mod token;
mod transport;
mod url;

use std::path::PathBuf;
use std::time::Duration;

pub use cancel::Cancel;
pub use challenge::Challenge;
pub use download::BlobSink;
pub use error::{ConnectFailure, Error};
pub use repository::{FetchedManifest, Repository};
pub use secret::{Secret, hide_password, scrub};

/// How to talk to registries.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest time without a byte; a first byte may take five times as long, a whole document or token ten times.
    pub timeout: Duration,
    /// The number of further attempts after a failed one.
    pub retries: u32,
    /// Plain HTTP is allowed off loopback too.
    pub insecure: bool,
    /// Any certificate is accepted.
    pub tls_no_verify: bool,
    /// Certificate authorities to trust in addition to the system's (PEM).
    pub ca_cert: Option<PathBuf>,
    /// Client certificate and key (PEM) for the registry that the image names; those of others are in `certs.d`.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User name and password for the registry.
    pub user: Option<(String, Secret)>,
    /// A file of credentials to check first.
    pub authfile: Option<PathBuf>,
    /// Use no credentials.
    pub anonymous: bool,
}

impl Default for Options {
    /// The defaults of the filter: 30 seconds, 5 further attempts, HTTPS with the system's authorities.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            retries: 5,
            insecure: false,
            tls_no_verify: false,
            ca_cert: None,
            identity: None,
            user: None,
            authfile: None,
            anonymous: false,
        }
    }
}
