//! Resolves names by the system's resolver.

use std::net::SocketAddr;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use super::destination::{Referrer, Zone};
use crate::sys::start_thread;

/// Resolves names. For a host that a server sent us to, it returns only addresses that this server may send us to (R8): the
/// addresses that are judged are those that are connected to, so that a second DNS answer cannot differ.
#[derive(Debug)]
pub(super) struct DnsResolver {
    /// The host of this client, and who sent us there. (The names of proxies are resolved here too.)
    pub sent: Option<(String, Referrer)>,
}

/// Why a name cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// There is no such name, or the name server cannot be reached.
    #[error("{what}")]
    Lookup {
        /// The resolver's message.
        what: String,
        /// Trying again may help.
        is_temporary: bool,
    },
    /// It leads to where a server may not send us.
    #[error("leads to {}", .0.described())]
    Forbidden(Zone),
}

impl DnsResolver {
    fn sender(&self, name: &str) -> Option<Referrer> {
        self.sent.as_ref().filter(|(host, _)| host.eq_ignore_ascii_case(name)).map(|(_, sender)| *sender)
    }
}

impl Resolve for DnsResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, sender) = (name.as_str().to_owned(), self.sender(name.as_str()));
        Box::pin(async move {
            let (give, found) = oneshot::channel();
            // The system's resolver blocks, for seconds if a name server is silent.
            let look = move || {
                // The request may have timed out.
                let _ = give.send(lookup(&name, sender));
            };
            start_thread("dns", look)?;
            let addresses = found.await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn lookup(name: &str, sender: Option<Referrer>) -> Result<Vec<SocketAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let failed = |error: dns_lookup::LookupError| LookupError::Lookup {
        is_temporary: matches!(error.kind(), LookupErrorKind::Again),
        what: std::io::Error::from(error).to_string(),
    };
    let found = getaddrinfo(Some(name), None, Some(hints)).map_err(failed)?;
    let found: Vec<SocketAddr> = found.filter_map(|info| Some(info.ok()?.sockaddr)).collect();
    let zone = |address: &SocketAddr| Zone::of(address.ip());
    let allowed = |address: &SocketAddr| sender.is_none_or(|sender| sender.reaches(zone(address)));
    let (allowed, forbidden): (Vec<_>, Vec<_>) = found.into_iter().partition(allowed);
    match forbidden.first() {
        Some(address) if allowed.is_empty() => Err(LookupError::Forbidden(zone(address))),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn a_name_leads_only_where_its_sender_may_send() {
        let sent = |zone| Some(Referrer { secure: false, zone });
        assert!(!lookup("localhost", None).unwrap().is_empty());
        assert!(!lookup("localhost", sent(Zone::Loopback)).unwrap().is_empty());
        let refused = lookup("localhost", sent(Zone::Elsewhere));
        assert!(matches!(refused, Err(LookupError::Forbidden(Zone::Loopback))), "{refused:?}");
        let resolver = DnsResolver { sent: Some(("Localhost".into(), sent(Zone::Elsewhere).unwrap())) };
        assert!(resolver.sender("localhost").is_some());
        assert!(resolver.sender("proxy.example").is_none(), "whom the user named may be anywhere");
    }
}
