//! URLs: which are on this machine, and how they are shown.

use std::net::IpAddr;

pub(super) use reqwest::Url;

/// An address for messages: without user, password, query and fragment, which may contain secrets.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for addresses that cannot have a user anyway.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The IP address in `url`, if it has one instead of a name.
pub(super) fn address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether `url` leads to this machine (R5): localhost, 127/8 or ::1.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// The same for a host in an image name, with or without a port.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether both have the same scheme, host and port.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    (a.scheme(), a.host_str(), a.port_or_known_default()) == (b.scheme(), b.host_str(), b.port_or_known_default())
}

/// Host and port of `url`, as in certs.d and image names.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn loopback_is_this_machine_only() {
        for here in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000", "LOCALHOST"] {
            assert!(is_loopback_host(here), "{here}");
        }
        for there in ["localhost.example.org", "128.0.0.1", "[::2]:5000", "example.org", "127.0.0.1.example.org"] {
            assert!(!is_loopback_host(there), "{there}");
        }
        assert!(is_loopback(&"http://[::1]:80/".parse().unwrap()));
    }

    #[test]
    fn secrets_are_not_shown() {
        let url: Url = "https://user:pass@example.org:444/a/b?sig=secret#frag".parse().unwrap();
        assert_eq!(shown(&url), "https://example.org:444/a/b");
        assert_eq!(authority(&url), "example.org:444");
        assert!(!same_origin(&url, &"https://example.org/".parse().unwrap()));
        assert!(same_origin(&"https://e.org:443/a".parse().unwrap(), &"https://e.org/b".parse().unwrap()));
        assert!(!same_origin(&"https://e.org/a".parse().unwrap(), &"http://e.org/b".parse().unwrap()));
    }
}
