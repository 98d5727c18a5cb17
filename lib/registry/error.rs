use std::path::PathBuf;
use std::time::Duration;

/// Why a request to a registry failed.
///
/// The messages of other libraries are copied into it, not chained: a broken connection to a registry must not look like a
/// broken pipe of ours, and an address in a message could contain a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with an error status.
    #[error("{url}: {status}{}{}", said(.message.as_deref()), asked(*.retry_after))]
    Status {
        /// The address, without secrets.
        url: String,
        /// The number and name of the status.
        status: String,
        /// The number.
        code: u16,
        /// The server's own message, shortened.
        message: Option<String>,
        /// How long the server asks us to wait.
        retry_after: Option<Duration>,
        /// Whether the answer came from a host to which the registry redirected.
        redirected: bool,
    },
    /// There was no answer, or it broke off.
    #[error("{url}: {what}")]
    Transport {
        /// The address, without secrets.
        url: String,
        /// What happened.
        what: String,
        /// The kind of failure.
        kind: ConnectFailure,
    },
    /// Anonymous access was refused, or authentication is not possible.
    #[error("{url}: {what}")]
    Auth {
        /// The address, without secrets.
        url: String,
        /// Why.
        what: String,
    },
    /// The credentials were refused.
    #[error("{url}: {what}")]
    BadCredentials {
        /// The address, without secrets.
        url: String,
        /// The server's message.
        what: String,
    },
    /// The answer violates the protocol.
    #[error("{url}: {what}")]
    Protocol {
        /// The address, without secrets.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The bytes do not match their digest or size (R1).
    #[error("{url}: {what}")]
    Wrong {
        /// The address, without secrets.
        url: String,
        /// How they differ.
        what: String,
    },
    /// A file with certificates, credentials or settings cannot be used.
    #[error("{path}: {what}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The configuration forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// The bytes cannot be stored.
    #[error(transparent)]
    Sink(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Another download failed first.
    #[error("cancelled")]
    Cancelled,
}

/// How a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The server does not speak TLS: plain HTTP may be tried if it is allowed.
    NotTls,
    /// Nobody listens on the TLS port: plain HTTP may be tried if it is allowed.
    Refused,
    /// A certificate or something else about TLS is wrong: trying again does not help.
    Tls,
    /// This machine has no trusted authorities, so certificates cannot be checked.
    NoAuthorities,
    /// The server accepts connections but is silent: it may be waiting for plain HTTP.
    Silent,
    /// The connection could not be made, or broke: trying again may help.
    Transient,
    /// No byte came in time: trying again may help.
    TimedOut,
    /// A document came too slowly.
    Slow,
    /// There is no such host, or the address or the proxy settings are invalid.
    Permanent,
}

impl Error {
    /// If another attempt may succeed: how long the server asks us to wait before it.
    pub(super) fn retry(&self) -> Option<Option<Duration>> {
        match self {
            Self::Status { code: 408 | 425 | 429 | 500..=599, retry_after, .. } => Some(*retry_after),
            Self::Transport {
                kind:
                    ConnectFailure::Transient | ConnectFailure::TimedOut | ConnectFailure::Refused | ConnectFailure::Silent,
                ..
            } => Some(None),
            _ => None,
        }
    }

    /// Whether a redirect may have led to a signed address that has expired.
    pub(super) fn may_have_expired(&self) -> bool {
        matches!(self, Self::Status { code: 400 | 401 | 403, redirected: true, .. })
    }
}

fn said(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

fn asked(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(" (come back in {} s)", wait.as_secs())).unwrap_or_default()
}
