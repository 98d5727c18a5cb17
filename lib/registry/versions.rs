/// What versions of HTTP a server is offered. Many of those that speak both would choose HTTP/2, where all layers share a
/// connection; so they are offered HTTP/1.1 alone, and HTTP/2 is for those that speak nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// HTTP/1.1 alone.
    One,
    /// HTTP/2 too.
    All,
}

impl Versions {
    /// Their names in TLS (RFC 7301, 6).
    pub(super) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::One => &["http/1.1"],
            Self::All => &["h2", "http/1.1"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}
