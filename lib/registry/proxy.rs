//! Chooses the proxy for a host: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` work as in Go's `httpproxy` and thus in Docker,
//! Podman, skopeo and crane; otherwise `ALL_PROXY`, as in curl.

use std::net::IpAddr;

use super::destination::Zone;
use super::url::{self, Url};
use super::{Error, secret};

/// The schemes of supported proxies.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The proxy for `to`; `None` for a direct connection.
///
/// # Errors
/// When the variable that applies is not the address of a proxy: ignoring it would not be what the user asked for.
pub(super) fn on_the_way(to: &Url) -> Result<Option<Url>, Error> {
    choose(to, &|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

fn choose(to: &Url, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Url>, Error> {
    let filled = |name: &'static str| Some((name, variable(name).filter(|value| !value.trim().is_empty())?));
    let first = |names: [&'static str; 2]| names.into_iter().find_map(filled);
    let own = match to.scheme() {
        "https" => first(["HTTPS_PROXY", "https_proxy"]),
        // In a CGI program, clients can set this variable by a header `Proxy` (CVE-2016-5385).
        _ if variable("REQUEST_METHOD").is_some() => filled("http_proxy"),
        _ => first(["HTTP_PROXY", "http_proxy"]),
    };
    let Some((name, address)) = own.or_else(|| first(["ALL_PROXY", "all_proxy"])) else { return Ok(None) };
    let exempt = first(["NO_PROXY", "no_proxy"]).map(|(_, list)| list).unwrap_or_default();
    if is_exempt(to, &exempt) {
        return Ok(None);
    }
    match parse(address.trim()) {
        Some(proxy) => Ok(Some(proxy)),
        // Its value may contain a password.
        None => Err(Error::Forbidden(format!("the environment's {name} is no address of a proxy"))),
    }
}

fn parse(address: &str) -> Option<Url> {
    let usable = |url: &Url| SCHEMES.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty());
    // The host in `host:port` would be parsed as a scheme.
    let parsed = address.parse::<Url>().ok().filter(|_| address.contains("://"));
    let url = match parsed {
        Some(url) => url,
        None if address.contains("://") => return None,
        None => format!("http://{address}").parse().ok()?,
    };
    secret::hide_userinfo(url.username(), url.password());
    usable(&url).then_some(url)
}

/// Whether to use no proxy for `to`: never for this machine, else as the list says.
fn is_exempt(to: &Url, list: &str) -> bool {
    if Zone::of_url(to) == Zone::Loopback {
        return true;
    }
    let host = to.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    let port = to.port_or_known_default();
    let address = url::address(to).map(|address| address.to_canonical());
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            return address.is_some_and(|address| is_within(address, network, bits));
        }
        let (name, wanted) = split_port(&entry);
        if wanted.is_some_and(|wanted| port.is_none_or(|port| wanted != port.to_string())) {
            return false;
        }
        if let Ok(named) = name.parse::<IpAddr>() {
            return address == Some(named.to_canonical());
        }
        let name = name.trim_end_matches('.');
        let domain = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        match domain.strip_prefix('.') {
            Some("") | None if domain.trim_matches('.').is_empty() => false,
            Some(_) => host.ends_with(domain),
            None => host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        }
    })
}

/// Splits `host:port` or `[v6]:port`; the port is optional.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let (a, b, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn exempt(url: &str, list: &str) -> bool {
        is_exempt(&url.parse().unwrap(), list)
    }

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (url, list) in [
            ("http://10.1.2.3:5000/", "10.1.2.3:5000"),
            ("http://10.1.2.3:5000/", "10.1.2.3"),
            ("http://10.1.2.3:5000/", "*"),
            ("http://10.1.2.3:5000/", "10.0.0.0/8"),
            ("http://10.1.2.3:5000/", "a, 10.1.2.3/32 ,b"),
            ("http://10.1.2.3:5000/", "0.0.0.0/0"),
            ("http://[2001:db8::1]:5000/", "2001:db8::/32"),
            ("http://[2001:db8::1]:5000/", "[2001:db8::1]:5000"),
            ("http://[2001:db8::1]/", "2001:db8::1"),
            ("http://[::ffff:10.1.2.3]/", "10.1.2.3"),
            ("https://reg.corp.test/", "reg.corp.test:443"),
            ("http://reg.corp.test:5000/", "reg.corp.test:5000"),
            ("http://reg.corp.test:5000/", "*.corp.test"),
            ("http://reg.corp.test:5000/", "*.corp.test:5000"),
            ("http://reg.corp.test:5000/", ".corp.test"),
            ("http://reg.corp.test:5000/", "corp.test"),
            ("http://reg.corp.test:5000/", "CORP.test"),
            ("http://corp.test/", "corp.test"),
            ("http://corp.test./", "corp.test"),
            ("http://localhost:5000/", ""),
            ("http://127.3.2.1/", "other"),
            ("http://[::1]/", "other"),
        ] {
            assert!(exempt(url, list), "{url} {list}");
        }
        for (url, list) in [
            ("http://10.1.2.3:5000/", "10.1.2.3:5001"),
            ("http://10.1.2.3:5000/", "10.1.2.30"),
            ("http://10.1.2.3:5000/", "10.2.0.0/16"),
            ("http://10.1.2.3:5000/", "10.1.2.3/33"),
            ("http://10.1.2.3:5000/", "10.1.2.*"),
            ("http://reg.corp.test/", "reg.corp.test:443"),
            ("http://corp.test/", "*.corp.test"),
            ("http://corp.test/", ".corp.test"),
            ("http://notcorp.test/", "corp.test"),
            ("http://corp.test.evil/", "corp.test"),
            ("http://reg.corp.test/", "10.0.0.0/8"),
            ("http://reg.corp.test/", ",, ,:80,."),
        ] {
            assert!(!exempt(url, list), "{url} {list}");
        }
    }

    #[test]
    fn the_variable_of_the_scheme_counts_and_must_be_an_address() {
        let chosen = |url: &str, set: &[(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            choose(&url.parse().unwrap(), &variable).map(|proxy| proxy.map(|proxy| proxy.to_string()))
        };
        let (https, http) = ("https://a.test/", "http://a.test/");
        let both = [("HTTPS_PROXY", "proxy.test:3128"), ("http_proxy", "http://other.test")];
        assert_eq!(chosen(https, &both).unwrap().as_deref(), Some("http://proxy.test:3128/"));
        assert_eq!(chosen(http, &both).unwrap().as_deref(), Some("http://other.test/"));
        assert_eq!(
            chosen(https, &[("ALL_PROXY", "socks5h://p.test:1080")]).unwrap().as_deref(),
            Some("socks5h://p.test:1080")
        );
        assert_eq!(chosen(https, &[]).unwrap(), None);
        assert_eq!(chosen(https, &[("HTTPS_PROXY", " ")]).unwrap(), None);
        assert_eq!(chosen(http, &[("HTTP_PROXY", "evil.test"), ("REQUEST_METHOD", "GET")]).unwrap(), None);
        for bad in [
            "http://",
            "://x",
            "http://[",
            "ftp://proxy.test",
            "http://pro xy",
            "http://me:hunter2@",
            "proxy:port",
            "socks6://x",
        ] {
            let error = chosen(https, &[("https_proxy", bad)]).unwrap_err().to_string();
            assert!(error.contains("https_proxy") && !error.contains("hunter2"), "{bad}: {error}");
            assert_eq!(chosen(https, &[("https_proxy", bad), ("no_proxy", "a.test")]).unwrap(), None);
        }
    }
}
