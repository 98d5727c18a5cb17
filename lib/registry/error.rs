use std::path::PathBuf;
use std::time::Duration;

/// Why a registry did not give what was asked for.
///
/// The texts of other libraries are copied into it, not chained: a broken connection to a registry must not look like
/// a broken pipe of ours, and an address in them could hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered, but not with what was asked for.
    #[error("{url}: {status}{}{}", said(.message.as_deref()), asked(*.retry_after))]
    Status {
        /// The address, without secrets.
        url: String,
        /// Number and name of the status.
        status: String,
        /// The number alone.
        code: u16,
        /// What the server says, bounded.
        message: Option<String>,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The answer came from where the registry redirected to.
        redirected: bool,
    },
    /// No answer, or one that broke off.
    #[error("{url}: {what}")]
    Transport {
        /// The address, without secrets.
        url: String,
        /// What happened.
        what: String,
        /// Which kind of failure.
        kind: ConnectFailure,
    },
    /// Access was refused to somebody without credentials, or cannot be asked for.
    #[error("{url}: {what}")]
    Auth {
        /// The address, without secrets.
        url: String,
        /// Why.
        what: String,
    },
    /// Access was refused to credentials that were shown.
    #[error("{url}: {what}")]
    BadCredentials {
        /// The address, without secrets.
        url: String,
        /// What the server says.
        what: String,
    },
    /// The answer is not what the protocol says.
    #[error("{url}: {what}")]
    Protocol {
        /// The address, without secrets.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The bytes are not what their digest or size says (R1).
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
    /// What has arrived cannot be stored.
    #[error(transparent)]
    Sink(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// The system gives no more threads.
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
    /// The other side does not speak TLS: plain HTTP may be tried where it is allowed.
    NotTls,
    /// Nobody listens where TLS would be, now: plain HTTP may be tried where it is allowed.
    Refused,
    /// A certificate or another part of TLS is wrong: trying again changes nothing.
    Tls,
    /// This machine trusts no authority at all, so no certificate can be checked.
    NoAuthorities,
    /// The other side accepts connections and is silent: it may be waiting for plain HTTP.
    Silent,
    /// The connection could not be made or broke: it may go better next time.
    Transient,
    /// No byte came for as long as was waited: it may go better next time.
    TimedOut,
    /// A document came too slowly to be waited for.
    Slow,
    /// There is no such host, or the address or the proxy settings make no sense.
    Permanent,
}

impl Error {
    /// Whether another attempt may succeed, and how long the server asks to wait before it.
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
}

impl Error {
    /// Whether a signed address that a redirect led to may have expired before it was asked.
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
