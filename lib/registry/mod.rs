//! Registries over HTTP (OCI distribution spec): challenge, token, credentials, mirrors, retry and resume (R rules).
//!
//! ```text
//! Repository   one image's repository: its endpoints (mirrors first), retries
//!   Endpoint   one host: HTTPS or plain HTTP, authentication
//!     Transport    requests, redirects, proxies, certificates; Destination judges where servers send us
//!       Host         one host's client and connections: with Transport and Answer the users of reqwest
//! ```
//!
//! Addresses are shown without user and query, secrets have no `Debug` text. What a server may repeat of a secret is taken
//! out of messages where they leave ([`scrub`]).

mod answer;
mod auth;
mod cancel;
mod challenge;
mod client;
mod credential;
mod credentials;
mod destination;
mod docker_config;
mod download;
mod endpoint;
mod error;
mod failure;
mod go_json;
mod helper;
mod mirrors;
mod p521;
mod proxy;
mod registries_conf;
mod repository;
mod resolver;
mod retry;
mod roots;
mod runtime;
mod secret;
mod self_signed;
mod tls;
mod token;
mod transport;
mod url;
mod versions;

use std::path::PathBuf;
use std::time::Duration;

pub use cancel::Cancel;
pub use challenge::Challenge;
pub use download::BlobSink;
pub use error::{ConnectFailure, Error};
pub use repository::{Fetched, Found, Repository};
pub use secret::{Secret, scrub};

/// How registries are talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest time without a byte; a first byte may take five times as long, a document or a token ten times in all.
    pub timeout: Duration,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// Plain HTTP is allowed off loopback too.
    pub insecure: bool,
    /// Any certificate is accepted.
    pub tls_no_verify: bool,
    /// Certificate authorities to trust beside the system's (PEM).
    pub ca_cert: Option<PathBuf>,
    /// Client certificate and its key (PEM), for the registry that the image names; others have theirs in `certs.d`.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User name and password for the registry.
    pub user: Option<(String, Secret)>,
    /// File of credentials to look into first.
    pub authfile: Option<PathBuf>,
    /// No credentials are looked for.
    pub anonymous: bool,
}

impl Default for Options {
    /// As the filter has it without flags: 30 seconds, 5 further attempts, HTTPS with the system's authorities.
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
