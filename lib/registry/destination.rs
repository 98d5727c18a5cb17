//! Where a server may send us (R8): this is the only place that judges token realms, redirects and foreign `urls`.
//!
//! A registry that was reached by HTTPS may not send us to plain HTTP. None may send us to this machine, to a link-local
//! address or to the metadata service of a cloud, unless the registry itself is there: its operator could make us request
//! what only this machine can reach. Addresses are judged by what they reach, however they are written; names by what they
//! resolve to at the moment of the connection (`dns.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::url::{self, Url};

/// The kind of place that an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Zone {
    /// This machine.
    Loopback,
    /// The same link: in clouds, that includes the metadata service.
    LinkLocal,
    /// Metadata services that are not link-local.
    Metadata,
    /// Anything else.
    Elsewhere,
}

/// The server that sends us somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Referrer {
    /// Whether it was reached by HTTPS.
    pub secure: bool,
    /// Where it is.
    pub zone: Zone,
}

/// The metadata services of AWS, GCP, Alibaba and Oracle that are not link-local.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl Zone {
    /// Where an address leads.
    pub(super) fn of(ip: IpAddr) -> Self {
        if METADATA.contains(&ip) {
            return Self::Metadata;
        }
        let v6 = match ip {
            IpAddr::V4(v4) => return Self::of_v4(v4),
            IpAddr::V6(v6) => v6,
        };
        if v6.is_loopback() || v6.is_unspecified() {
            return Self::Loopback;
        }
        if v6.segments()[0] & 0xffc0 == 0xfe80 {
            return Self::LinkLocal;
        }
        embedded(v6).map_or(Self::Elsewhere, |v4| Self::of(v4.into()))
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        // 0.0.0.0 reaches this machine.
        if v4.is_loopback() || v4.octets()[0] == 0 {
            Self::Loopback
        } else if v4.is_link_local() {
            Self::LinkLocal
        } else {
            Self::Elsewhere
        }
    }

    /// Where `url` leads, judging by its text: a name may resolve to anything.
    pub(super) fn of_url(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost") {
            return Self::Loopback;
        }
        url::address(url).map_or(Self::Elsewhere, Self::of)
    }
}

/// The IPv4 address embedded in an IPv6 one: mapped, compatible, 6to4, NAT64.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => from(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => from(high, low),
        [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

impl Referrer {
    /// Whether it may send us to an address in `zone`.
    pub(super) fn reaches(self, zone: Zone) -> bool {
        zone == Zone::Elsewhere || zone == self.zone
    }

    /// Whether it may send us to `url`, judging by its text.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn judge(self, url: &Url) -> Result<(), String> {
        if self.secure && url.scheme() == "http" {
            return Err("leads from HTTPS to plain HTTP".into());
        }
        let zone = Zone::of_url(url);
        if self.reaches(zone) { Ok(()) } else { Err(format!("leads to {}", zone.described())) }
    }
}

impl Zone {
    /// The zone in words.
    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Loopback => "an address of this machine",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address of a cloud's metadata service",
            Self::Elsewhere => "another machine",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn zone(host: &str) -> Zone {
        Zone::of_url(&format!("http://{host}:5000/x").parse().unwrap())
    }

    #[test]
    fn an_address_is_where_it_leads_however_it_is_written() {
        for here in [
            "127.0.0.1",
            "127.9.8.7",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "localhost",
            "LocalHost",
            "localhost.",
            "a.localhost",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[0:0:0:0:0:ffff:7f00:1]",
            "[::ffff:0:127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b:1::127.0.0.1]",
            "[2002:7f00:1::]",
            "%31%32%37.0.0.1",
            "127。0。0。1",
            "１２７.0.0.1",
        ] {
            assert_eq!(zone(here), Zone::Loopback, "{here}");
        }
        for near in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[fe80::1]",
            "[febf::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
        ] {
            assert_eq!(zone(near), Zone::LinkLocal, "{near}");
        }
        for metadata in
            ["100.100.100.200", "[fd00:ec2::254]", "[fd20:ce::254]", "192.0.0.192", "[::ffff:100.100.100.200]"]
        {
            assert_eq!(zone(metadata), Zone::Metadata, "{metadata}");
        }
        for far in [
            "10.0.0.1",
            "192.168.1.1",
            "example.org",
            "localhost.example.org",
            "notlocalhost",
            "[2001:db8::1]",
            "[fec0::1]",
            "[::ffff:10.0.0.1]",
            "128.0.0.1",
        ] {
            assert_eq!(zone(far), Zone::Elsewhere, "{far}");
        }
    }

    #[test]
    fn a_sender_leads_where_it_stands_itself_and_never_from_https_to_http() {
        let judge = |secure, zone, url: &str| Referrer { secure, zone }.judge(&url.parse().unwrap());
        for (zone, there) in
            [(Zone::Loopback, "127.0.0.2"), (Zone::LinkLocal, "169.254.1.1"), (Zone::Metadata, "100.100.100.200")]
        {
            assert!(judge(false, zone, &format!("http://{there}/")).is_ok());
            assert!(judge(true, zone, &format!("https://{there}/")).is_ok());
            assert!(judge(true, zone, &format!("http://{there}/")).is_err());
            assert!(judge(false, Zone::Elsewhere, &format!("http://{there}/")).is_err());
            assert!(judge(true, Zone::Elsewhere, &format!("https://{there}/")).is_err());
        }
        assert!(judge(false, Zone::Loopback, "http://169.254.169.254/").is_err());
        assert!(judge(false, Zone::LinkLocal, "http://[::1]/").is_err());
        assert!(judge(false, Zone::Elsewhere, "http://10.0.0.1/").is_ok());
        assert!(judge(true, Zone::Elsewhere, "https://10.0.0.1/").is_ok());
        assert!(judge(true, Zone::Elsewhere, "http://example.org/").is_err());
    }
}
