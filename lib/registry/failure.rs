//! Turns network errors into messages and kinds.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, PeerMisbehaved};

use super::Error;
use super::dns::LookupError;
use super::error::ConnectFailure;
use super::roots::NoAuthorities;
use super::url::{self, Url};

/// No byte came for `silence`.
pub(super) fn stalled(url: &Url, silence: Duration) -> Error {
    let what = format!("stalled: no byte for {} s", silence.as_secs());
    Error::Transport { url: url::shown(url), what, kind: ConnectFailure::TimedOut }
}

/// A request was not answered within `patience`.
pub(super) fn unanswered(url: &Url, patience: Duration) -> Error {
    let what = format!("no answer for {} s", patience.as_secs());
    Error::Transport { url: url::shown(url), what, kind: ConnectFailure::TimedOut }
}

/// A document was not complete within `patience`.
pub(super) fn slow(url: &Url, patience: Duration) -> Error {
    let what = format!("the answer is not whole after {} s", patience.as_secs());
    Error::Transport { url: url::shown(url), what, kind: ConnectFailure::Slow }
}

/// The documents of an image, each of them in time, are not complete within `patience`.
pub(super) fn slow_altogether(host: &str, patience: Duration) -> Error {
    let what = format!("what leads to the image is not whole after {} s", patience.as_secs());
    Error::Transport { url: host.into(), what, kind: ConnectFailure::Slow }
}

/// A body broke off.
pub(super) fn broken_off(url: &Url, error: &reqwest::Error) -> Error {
    // reqwest's own messages contain the address, those of its sources do not.
    let what = match error.source() {
        Some(source) => format!("the connection broke off: {}", words(source)),
        None => "the connection broke off".into(),
    };
    Error::Transport { url: url::shown(url), what, kind: ConnectFailure::Transient }
}

/// Whether a connection ended before a byte of the answer came, as happens if the server closed it while it was idle.
pub(super) fn is_cut_before_the_answer(error: &reqwest::Error) -> bool {
    use io::ErrorKind as Kind;
    let http = find::<hyper::Error>(error);
    let is_cut = http.is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled());
    let is_reset = find::<io::Error>(error).is_some_and(|error| {
        let kinds = [Kind::ConnectionReset, Kind::ConnectionAborted, Kind::BrokenPipe, Kind::UnexpectedEof];
        kinds.contains(&error.kind())
    });
    !error.is_connect() && !error.is_timeout() && (is_cut || is_reset)
}

/// Whether a TLS server does not seem to speak HTTP/1.1, judging by its first bytes.
pub(super) fn is_no_http1(error: &reqwest::Error) -> bool {
    let refuses = find::<rustls::Error>(error).is_some_and(|error| {
        matches!(
            error,
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
                | rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol)
        )
    });
    // Some begin with HTTP/2 settings, or hang up.
    let is_strange = find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    refuses || is_strange || is_cut_before_the_answer(error)
}

/// A request could not be sent, or was not answered.
pub(super) fn unsent(url: &Url, error: reqwest::Error, patience: Duration) -> Error {
    let error = error.without_url();
    if let Some((what, kind)) = unresolved(url, &error) {
        return Error::Transport { url: url::shown(url), what, kind };
    }
    let cause = match error.source() {
        Some(source) => words(source),
        None => words(&error),
    };
    let tls = tls_failure(&error);
    let what = match tls {
        _ if error.is_timeout() => format!("no answer for {} s", patience.as_secs()),
        Some(ConnectFailure::NotTls) => format!("{} does not speak TLS: {cause}", url::authority(url)),
        Some(_) => format!("TLS with {} failed: {cause}", url::authority(url)),
        None if error.is_connect() => format!("cannot connect: {cause}"),
        None => cause,
    };
    let kind = match tls {
        _ if error.is_builder() => ConnectFailure::Permanent,
        _ if error.is_connect() && error.is_timeout() => ConnectFailure::Silent,
        Some(kind) => kind,
        None if error.is_connect() => ConnectFailure::Refused,
        None => ConnectFailure::Transient,
    };
    Error::Transport { url: url::shown(url), what, kind }
}

/// The resolver's error about the host.
fn unresolved(url: &Url, error: &(dyn StdError + 'static)) -> Option<(String, ConnectFailure)> {
    let host = url.host_str().unwrap_or_default();
    match find::<LookupError>(error)? {
        LookupError::Lookup { what, is_temporary } => {
            let kind = if *is_temporary { ConnectFailure::Transient } else { ConnectFailure::Permanent };
            Some((format!("the host {host} cannot be found: {what}"), kind))
        }
        error @ LookupError::Forbidden(_) => Some((format!("the host {host} {error}"), ConnectFailure::Permanent)),
    }
}

/// The kind of TLS error among the sources.
fn tls_failure(error: &(dyn StdError + 'static)) -> Option<ConnectFailure> {
    Some(match find::<rustls::Error>(error)? {
        rustls::Error::InvalidMessage(_) => ConnectFailure::NotTls,
        rustls::Error::Other(other) if other.0.is::<NoAuthorities>() => ConnectFailure::NoAuthorities,
        _ => ConnectFailure::Tls,
    })
}

/// The first `T` among `error` and its sources.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // The source of an io::Error is that of its inner error, not the inner error itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error with its sources, each once, without library layers that only say that something below them failed.
pub(super) fn words(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    for layer in [
        "client error (Connect): ",
        "client error (SendRequest): ",
        "dns error: ",
        "error resolving DNS: ",
        "tcp connect error: ",
    ] {
        text = text.replace(layer, "");
    }
    text.replace("tunnel error: failed to create underlying connection", "the proxy does not answer")
}
