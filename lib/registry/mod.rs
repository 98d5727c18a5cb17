//! Registries over HTTP (OCI distribution spec): challenge, token, credentials, mirrors, retry and resume (R rules).
//!
//! ```text
//! Repository   one image's repository: its endpoints (mirrors first), retries
//!   Endpoint   one host: HTTPS or plain HTTP, authentication
//!     Transport    requests, redirects, certificates, proxies: the only user of reqwest
//! ```
//!
//! No secret reaches an error, a log line or a `Debug` text; addresses are shown without user and query.

mod auth;
mod cancel;
mod challenge;
mod credentials;
mod docker_config;
mod download;
mod endpoint;
mod error;
mod helper;
mod mirrors;
mod repository;
mod retry;
mod roots;
mod secret;
mod self_signed;
mod tls;
mod token;
mod transport;
mod url;

use std::path::PathBuf;
use std::time::Duration;

pub use cancel::Cancel;
pub use challenge::Challenge;
pub use download::Sink;
pub use error::{Error, Failure};
pub use repository::{Fetched, Found, Repository};
pub use secret::Secret;

/// How registries are talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest time without a byte.
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
        }
    }
}
