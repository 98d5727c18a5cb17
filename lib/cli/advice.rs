//! What to do next about an error: the flag, the command or the check that most often helps.
//!
//! The library's errors say what happened and where; only this module knows the flags.

use std::error::Error;
use std::io::{self, ErrorKind};

use super::message::chain;
use crate::{ext4, flatten, pack};

/// Advice on an error or on its cause, to follow it in brackets; `None` where the error says it all.
#[must_use]
pub fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    chain(error).find_map(on)
}

fn on(error: &(dyn Error + 'static)) -> Option<String> {
    #[cfg(feature = "fetch")]
    if let Some(advice) = on_fetching(error) {
        return Some(advice);
    }
    if let Some(error) = find::<flatten::Error>(error) {
        return on_flattening(error);
    }
    find::<pack::Error>(error).and_then(on_packing)
}

/// `error` as a `T`, itself or boxed.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    error.downcast_ref::<T>().or_else(|| error.downcast_ref::<Box<T>>().map(|boxed| &**boxed))
}

fn on_packing(error: &pack::Error) -> Option<String> {
    match error.image()? {
        ext4::Error::NoSpace { needed, .. } => {
            Some(format!("--size {needed} is enough; without --size it fits itself"))
        }
        ext4::Error::NoInodes { needed, .. } => Some(format!("--inodes {needed} is enough")),
        ext4::Error::Write { source, .. } if is_full(source) => Some("-o can name a file system with more room".into()),
        _ => None,
    }
}

fn on_flattening(error: &flatten::Error) -> Option<String> {
    use flatten::{Error as E, LayerError as L};
    let spool = || Some("--tmpdir or TMPDIR can name another directory".into());
    match error {
        E::Manifest(crate::image::layer_manifest::Error::Json { record: 1, .. }) => {
            Some("oci-flatten reads what oci-fetch prints; a tar or a directory goes with -n -l PATH".into())
        }
        E::Layer { source: L::Spool { .. }, .. } => spool(),
        E::Layer { source: L::DiffId { .. } | L::Digest { .. } | L::Size { .. }, .. } => {
            Some("if its blob is damaged, oci-fetch will find that out and fetch it again".into())
        }
        _ => None,
    }
}

#[cfg(feature = "fetch")]
fn on_fetching(error: &(dyn Error + 'static)) -> Option<String> {
    use crate::image::select::SelectError;
    use crate::{registry, source, store};
    let some = |text: &str| Some(text.to_owned());
    if let Some(error) = find::<registry::Error>(error) {
        return on_registry(error);
    }
    if let Some(error) = find::<store::Error>(error) {
        return on_store(error);
    }
    match find::<source::Error>(error)? {
        source::Error::Store(error) => on_store(error),
        source::Error::Select { source: SelectError::NoPlatform { .. }, .. } => some("--platform takes one of these"),
        source::Error::Layer { source, .. } => match &**source {
            registry::Error::Transport { kind: registry::ConnectFailure::TimedOut, .. } => {
                some("run it again: it goes on where it stopped; --timeout SECONDS waits longer")
            }
            registry::Error::Transport { .. } => some("run it again: it goes on where it stopped"),
            other => on_registry(other),
        },
        source::Error::Registry { source, .. } => on_registry(source),
        _ => None,
    }
}

#[cfg(feature = "fetch")]
fn on_store(error: &crate::store::Error) -> Option<String> {
    use crate::store::Error;
    match error {
        Error::Io { source, .. } if is_full(source) || refuses_writing(source) => {
            Some("--dir can name another store".into())
        }
        Error::NotEmpty { .. } => Some("--dir can name another store".into()),
        Error::OpenToOthers { .. } => {
            Some("chown and chmod go-w make it yours alone; --shared-store takes what others write".into())
        }
        Error::Locked { .. } => Some("fuser(1) tells which; with --timeout it is waited for longer".into()),
        _ => None,
    }
}

#[cfg(feature = "fetch")]
fn on_registry(error: &crate::registry::Error) -> Option<String> {
    use crate::registry::{ConnectFailure, Error};
    let text = match error {
        Error::BadCredentials { .. } => "log in again, or check --username, its password and what the account may pull",
        Error::Auth { .. } | Error::Status { code: 401 | 403, redirected: false, .. } => {
            "a wrong name, or a private image: then docker login or podman login, or --username with --password-stdin"
        }
        Error::Status { code: 404, .. } => "check the name and the tag",
        Error::Status { code: 429, .. } => "wait, or log in: most registries allow more to those they know",
        Error::Status { code: 500..=599, .. } => "the registry has a problem: try again later, perhaps with --retries",
        Error::Transport { kind: ConnectFailure::NotTls, .. } => "--insecure allows plain HTTP",
        Error::Transport { kind: ConnectFailure::NoAuthorities, .. } => {
            "install ca-certificates, or name a file of authorities with --ca-cert"
        }
        Error::Transport { kind: ConnectFailure::Tls, .. } => {
            "--ca-cert trusts the authority in a file, --tls-no-verify any certificate"
        }
        Error::Transport { kind: ConnectFailure::Permanent, .. } => {
            "check the name, the network and the proxy; --offline takes what the store has"
        }
        Error::Transport { kind: ConnectFailure::TimedOut | ConnectFailure::Slow, .. } => {
            "--timeout SECONDS waits longer"
        }
        Error::Transport { .. } => "check host, port, network and proxy",
        Error::Sink(error) => return advice(&**error),
        _ => return None,
    };
    Some(text.to_owned())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(feature = "fetch")]
fn refuses_writing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}
