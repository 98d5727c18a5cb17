//! One request and one reply, and the ways in which a reply goes wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::text::form_values;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The target as sent: a path with its query, an absolute URL to a proxy, or `host:port` of a CONNECT.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub at: Instant,
    /// Whether it came through TLS.
    pub secure: bool,
    /// Whether the client showed a certificate.
    pub certificate: bool,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The values of a query parameter, decoded.
    pub fn query(&self, key: &str) -> Vec<String> {
        form_values(self.target.split_once('?').map_or("", |(_, query)| query), key)
    }

    /// The values of a field of a posted form, decoded.
    pub fn form(&self, key: &str) -> Vec<String> {
        form_values(&self.body, key)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// Where the bytes of a reply come from.
#[derive(Clone)]
pub(super) enum Body {
    Bytes(Arc<[u8]>),
    /// `block` over and over, `len` bytes in all: a layer that is larger than memory.
    Repeated {
        block: Arc<[u8]>,
        len: u64,
    },
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Repeated { len, .. } => *len,
        }
    }

    /// Up to 64 KiB from `at`, none at the end.
    pub(super) fn piece(&self, at: u64) -> &[u8] {
        const PIECE: u64 = 64 << 10;
        let (bytes, at, left) = match self {
            Self::Bytes(bytes) => (bytes, at, PIECE),
            Self::Repeated { block, len } => (block, at % block.len() as u64, PIECE.min(len - at)),
        };
        let rest = bytes.get(at as usize..).unwrap_or_default();
        rest.get(..left as usize).unwrap_or(rest)
    }
}

/// How the reader learns where the body ends.
#[derive(Clone, Copy)]
pub(super) enum Framing {
    Length,
    Claims(u64),
    Chunked,
    UntilClose,
}

/// Where the connection breaks.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Whole,
    CutAt(u64),
    StallAt(u64),
    Never,
}

/// A reply about to be sent. The methods that change it read as what the client will meet.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub(super) body: Body,
    /// The part of `body` that is sent.
    pub(super) range: (u64, u64),
    pub(super) framing: Framing,
    pub(super) ending: Ending,
    pub(super) pause: Option<(u64, Duration)>,
    /// So long nothing is sent at all.
    pub(super) delay: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Arc<[u8]>>) -> Self {
        Self::with_body(status, Body::Bytes(body.into()))
    }

    pub(super) fn with_body(status: u16, body: Body) -> Self {
        let range = (0, body.len());
        let (framing, ending) = (Framing::Length, Ending::Whole);
        Self { status, headers: Vec::new(), body, range, framing, ending, pause: None, delay: Duration::ZERO }
    }

    /// The error document of the distribution spec.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::new(status, body.to_string().into_bytes()).header("Content-Type", "application/json")
    }

    /// A redirect. Its URL usually carries a signature, which is a secret.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::new(status, *b"").header("Location", to)
    }

    /// Sets a header, replacing what was there.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// Bytes of the body.
    pub fn len(&self) -> u64 {
        self.range.1 - self.range.0
    }

    /// The connection breaks after `bytes` of the body.
    pub fn cut_at(mut self, bytes: u64) -> Self {
        self.ending = Ending::CutAt(bytes);
        self
    }

    /// After `bytes` of the body nothing more comes, and the connection stays open.
    pub fn stall_at(mut self, bytes: u64) -> Self {
        self.ending = Ending::StallAt(bytes);
        self
    }

    /// A pause after every `bytes` of the body.
    pub fn slow(mut self, bytes: u64, pause: Duration) -> Self {
        self.pause = Some((bytes, pause));
        self
    }

    /// So much time before the first byte.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The body compressed, and said to be.
    pub fn gzipped(self) -> Self {
        self.gzipped_as("gzip")
    }

    /// The body compressed, by a name that stands for it.
    pub fn gzipped_as(self, name: &str) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &self.bytes()).unwrap();
        self.body(encoder.finish().unwrap()).header("Content-Encoding", name)
    }

    /// Only the first `bytes`, with a Content-Length that says so.
    pub fn short(mut self, bytes: u64) -> Self {
        self.range.1 = self.range.0 + bytes;
        self
    }

    /// `extra` more bytes than there are, with a Content-Length that says so.
    pub fn long(self, extra: usize) -> Self {
        let mut bytes = self.bytes();
        bytes.resize(bytes.len() + extra, b'+');
        self.body(bytes)
    }

    /// So many bytes more than anybody wants, made as they are sent.
    pub fn endless(mut self) -> Self {
        self.body = Body::Repeated { block: vec![b'+'; 1 << 16].into(), len: 1 << 40 };
        self.range = (0, 1 << 40);
        self
    }

    /// Nothing comes, not even a status line.
    pub fn never(mut self) -> Self {
        self.ending = Ending::Never;
        self
    }

    /// One byte of what is sent is another.
    pub fn flipped(self, at: usize) -> Self {
        let mut bytes = self.bytes();
        bytes[at] ^= 0x20;
        self.body(bytes)
    }

    /// Other bytes instead, under the same headers.
    pub fn body(mut self, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.body = Body::Bytes(bytes.into());
        self.range = (0, self.body.len());
        self
    }

    /// A Content-Length that is not true.
    pub fn claims(mut self, length: u64) -> Self {
        self.framing = Framing::Claims(length);
        self
    }

    /// Chunked transfer coding, so no Content-Length.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Neither Content-Length nor chunks: the body ends with the connection.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (mut at, end) = self.range;
        let mut out = Vec::new();
        while at < end {
            let piece = self.body.piece(at);
            let piece = piece.get(..(end - at) as usize).unwrap_or(piece);
            out.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        out
    }
}
