/// The versions of HTTP that are offered to a server. Many that speak both would choose HTTP/2, where all layers share a
/// connection; so only HTTP/1.1 is offered at first, and HTTP/2 to servers that speak nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersions {
    /// Only HTTP/1.1.
    One,
    /// HTTP/2 too.
    All,
}

impl HttpVersions {
    /// Their names in TLS (RFC 7301, 6).
    pub(super) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::One => &["http/1.1"],
            Self::All => &["h2", "http/1.1"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}
