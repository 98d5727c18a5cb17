//! The registry itself: what it holds, how it answers, what it was asked.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::guard::{Guard, Issuer};
use super::http::{Body, Reply, Request};
use super::image::Artifact;
use super::wire::{After, read_request, send};

/// Which requests: by method, by a part of the target, by the how-manieth.
#[derive(Clone, Debug)]
pub struct When {
    method: Option<&'static str>,
    part: String,
    skip: usize,
    times: usize,
}

/// GET requests whose target holds `part`.
pub fn get(part: impl Into<String>) -> When {
    When { method: Some("GET"), ..any(part) }
}

/// HEAD requests whose target holds `part`.
pub fn head(part: impl Into<String>) -> When {
    When { method: Some("HEAD"), ..any(part) }
}

/// POST requests whose target holds `part`.
pub fn post(part: impl Into<String>) -> When {
    When { method: Some("POST"), ..any(part) }
}

/// Requests of any method whose target holds `part`.
pub fn any(part: impl Into<String>) -> When {
    When { method: None, part: part.into(), skip: 0, times: usize::MAX }
}

impl When {
    /// Only the first of them.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Only the first `count` of them, or after those that `after` skips.
    pub fn times(mut self, count: usize) -> Self {
        self.times = count;
        self
    }

    /// Not the first `count` of them.
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    fn matches(&self, request: &Request) -> bool {
        self.method.is_none_or(|method| method == request.method) && request.target.contains(&self.part)
    }

    /// Whether this request is meant, counting it.
    fn takes(&mut self, request: &Request) -> bool {
        if !self.matches(request) || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= usize::from(self.times != usize::MAX);
        true
    }
}

/// What a registry does with a Range header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    Honoured,
    /// 200 and everything, as servers without support do.
    Ignored,
    /// 206, but the bytes begin this many too early, and Content-Range says so.
    Early(u64),
    /// 206, but at most so many bytes, and Content-Range says so.
    AtMost(u64),
    /// 206 with all bytes from the first, as some proxies do; Content-Range tells the lie.
    FromTheStart,
    /// 416, whatever is asked.
    Refused,
}

type Change = Box<dyn Fn(&Request, Reply) -> Reply + Send>;

struct Document {
    media_type: String,
    body: Body,
    digest: String,
}

struct State {
    /// By path.
    documents: HashMap<String, Document>,
    rules: Vec<(When, Change)>,
    requests: Vec<Request>,
    guard: Option<Guard>,
    issuer: Option<Issuer>,
    ranges: Ranges,
    /// What the anonymous are told of repositories instead of being asked who they are.
    hiding: Option<u16>,
    /// Replies to anyone, by path.
    open: HashMap<String, Reply>,
    /// A connection is closed when a second request comes on it.
    one_request_a_connection: bool,
}

struct Shared {
    state: Mutex<State>,
    stopping: AtomicBool,
    /// Open connections, to be broken when the registry stops.
    streams: Mutex<HashMap<SocketAddr, TcpStream>>,
    tls: Option<Arc<ServerConfig>>,
}

/// A registry on a port of its own on a loopback address. Dropping it stops it.
pub struct Registry {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

impl Registry {
    /// Plain HTTP on 127.0.0.1.
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, None)
    }

    /// Plain HTTP on 127.0.0.2: to every client another host.
    pub fn start_elsewhere() -> Self {
        Self::start_at(Ipv4Addr::new(127, 0, 0, 2), None)
    }

    /// Plain HTTP on `[::1]`.
    pub fn start_ipv6() -> Self {
        Self::start_at(Ipv6Addr::LOCALHOST, None)
    }

    /// HTTPS on 127.0.0.1.
    pub fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, Some(tls))
    }

    pub fn start_at(ip: impl Into<IpAddr>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((ip.into(), 0)).expect("a port on loopback");
        let address = listener.local_addr().unwrap();
        let state = State {
            documents: HashMap::new(),
            rules: Vec::new(),
            requests: Vec::new(),
            guard: None,
            issuer: None,
            ranges: Ranges::Honoured,
            hiding: None,
            open: HashMap::new(),
            one_request_a_connection: false,
        };
        let streams = Mutex::default();
        let shared = Arc::new(Shared { state: Mutex::new(state), stopping: AtomicBool::new(false), streams, tls });
        let accepting = Arc::clone(&shared);
        let listener = Some(thread::spawn(move || accept(&listener, &accepting)));
        Self { shared, address, listener }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// An image's name as one gives it to `oci-fetch`.
    pub fn name(&self, image: impl fmt::Display) -> String {
        format!("{}/{image}", self.address)
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Puts an image or index here, by digest and by tag.
    pub fn push(&self, repository: &str, tag: &str, artifact: &impl Artifact) {
        let mut state = self.state();
        for part in artifact.parts() {
            let kind = if part.is_manifest { "manifests" } else { "blobs" };
            let path = format!("/v2/{repository}/{kind}/{}", part.digest);
            let body = Body::Bytes(Arc::clone(&part.bytes));
            let document =
                || Document { media_type: part.media_type.clone(), body: body.clone(), digest: part.digest.clone() };
            if part.is_root {
                state.documents.insert(format!("/v2/{repository}/manifests/{tag}"), document());
            }
            state.documents.insert(path, document());
        }
    }

    /// Puts bytes at any path.
    pub fn serve(&self, path: &str, media_type: &str, bytes: impl Into<Arc<[u8]>>) {
        self.put(path, media_type, Body::Bytes(bytes.into()), String::new());
    }

    /// Puts `block` over and over at any path, `len` bytes in all.
    pub fn serve_repeated(&self, path: &str, block: impl Into<Arc<[u8]>>, len: u64) {
        self.put(path, "application/octet-stream", Body::Repeated { block: block.into(), len }, String::new());
    }

    fn put(&self, path: &str, media_type: &str, body: Body, digest: String) {
        self.state().documents.insert(path.to_owned(), Document { media_type: media_type.to_owned(), body, digest });
    }

    /// Takes away what stands at a path.
    pub fn remove(&self, path: &str) {
        assert!(self.state().documents.remove(path).is_some(), "{path} was never there");
    }

    /// Changes the replies to these requests. The first rule that still takes a request changes its reply.
    pub fn when(&self, when: When, change: impl Fn(Reply) -> Reply + Send + 'static) {
        self.when_asked(when, move |_, reply| change(reply));
    }

    /// As [`Self::when`], with the request at hand.
    pub fn when_asked(&self, when: When, change: impl Fn(&Request, Reply) -> Reply + Send + 'static) {
        self.state().rules.push((when, Box::new(change)));
    }

    /// From now on all is well again.
    pub fn heal(&self) {
        self.state().rules.clear();
    }

    pub fn ranges(&self, ranges: Ranges) {
        self.state().ranges = ranges;
    }

    /// Asks for a name and password.
    pub fn ask_basic(&self, user: &'static str, password: &'static str) {
        self.state().guard = Some(Guard::Basic { user, password });
    }

    /// Asks for tokens of `issuer`, which this server hands out itself at `/token`.
    pub fn ask_bearer(&self, issuer: &Issuer) {
        self.issue(issuer);
        self.ask_bearer_at(issuer, self.url("/token"));
    }

    /// Asks for tokens of `issuer`, to be had at `realm`.
    pub fn ask_bearer_at(&self, issuer: &Issuer, realm: impl Into<String>) {
        self.state().guard = Some(Guard::Bearer(issuer.clone(), realm.into()));
    }

    /// Answers requests for repositories without credentials by this status; only `/v2/` asks for them.
    pub fn hide_from_the_anonymous(&self, status: u16) {
        self.state().hiding = Some(status);
    }

    /// Leaves connections open after a reply, and closes them without an answer when they are used again.
    pub fn closes_idle_connections(&self) {
        self.state().one_request_a_connection = true;
    }

    /// Gives anyone this reply to requests for the path.
    pub fn open(&self, path: &str, reply: Reply) {
        self.state().open.insert(path.to_owned(), reply);
    }

    /// Hands out tokens at `/token`.
    pub fn issue(&self, issuer: &Issuer) {
        self.state().issuer = Some(issuer.clone());
    }

    /// Everything it was asked, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// What it was asked of this kind.
    pub fn asked(&self, when: When) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| when.matches(request));
        requests
    }

    /// Forgets what it was asked.
    pub fn forget(&self) {
        self.state().requests.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for (_, stream) in self.shared.streams().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<SocketAddr, TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut state = self.state();
        state.requests.push(request.clone());
        let issuer = state.issuer.clone().filter(|_| request.path() == "/token");
        let refusal = match (&issuer, &state.guard) {
            (None, Some(guard)) => guard.check(request),
            _ => None,
        };
        if let Some(open) = state.open.get(request.path()) {
            return open.clone();
        }
        if let Some(refusal) = refusal {
            return match state.hiding.filter(|_| request.path() != "/v2/" && request.header("Authorization").is_none())
            {
                Some(status) => Reply::error(status, "NAME_UNKNOWN", "repository name not known to registry"),
                None => refusal,
            };
        }
        let reply = match issuer {
            Some(issuer) => issuer.answer(request),
            None => state.find(request),
        };
        match state.rules.iter_mut().find_map(|(when, change)| when.takes(request).then_some(change)) {
            Some(change) => change(request, reply),
            None => reply,
        }
    }
}

impl State {
    fn find(&self, request: &Request) -> Reply {
        if request.path() == "/v2/" {
            return Reply::new(200, *b"{}").header("Content-Type", "application/json");
        }
        let Some(document) = self.documents.get(request.path()) else {
            let code = if request.path().contains("/blobs/") { "BLOB_UNKNOWN" } else { "MANIFEST_UNKNOWN" };
            return Reply::error(404, code, "not known to this registry");
        };
        let reply = Reply::with_body(200, document.body.clone()).header("Content-Type", &document.media_type);
        let reply = match &*document.digest {
            "" => reply,
            digest => reply.header("Docker-Content-Digest", digest),
        };
        match request.header("Range").filter(|_| request.method == "GET" && !request.path().contains("/manifests/")) {
            Some(range) => self.cut_out(reply, range),
            None => reply,
        }
    }

    fn cut_out(&self, reply: Reply, range: &str) -> Reply {
        let len = reply.body.len();
        let (from, to) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("bytes=a-b");
        let from: u64 = from.parse().expect("a first byte");
        let mut end = to.parse::<u64>().map_or(len, |last| len.min(last + 1));
        let (from, refused) = match self.ranges {
            Ranges::Ignored => return reply,
            Ranges::Honoured => (from, false),
            Ranges::AtMost(bytes) => {
                end = end.min(from.saturating_add(bytes));
                (from, false)
            }
            Ranges::Early(bytes) => (from.saturating_sub(bytes), false),
            Ranges::FromTheStart => (0, false),
            Ranges::Refused => (from, true),
        };
        if refused || from >= len {
            let error = Reply::error(416, "RANGE_INVALID", "invalid content range");
            return error.header("Content-Range", &format!("bytes */{len}"));
        }
        let mut reply = reply.header("Content-Range", &format!("bytes {from}-{}/{len}", end - 1));
        reply.status = 206;
        reply.range = (from, end);
        reply
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Some((stream, other, peer)) =
            stream.ok().and_then(|s| Some((s.try_clone().ok()?, s.peer_addr().ok()?)).map(|(c, p)| (s, c, p)))
        else {
            continue;
        };
        shared.streams().insert(peer, other);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client may leave whenever it likes; what counts is what it was told before.
            let _ = match &shared.tls {
                None => converse(stream, None, &shared),
                Some(config) => shake_hands(Arc::clone(config), stream)
                    .and_then(|(stream, certificate)| converse(stream, Some(certificate), &shared)),
            };
            if let Some(stream) = shared.streams().remove(&peer) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

/// Answers one request after the other. The stream is closed when it is dropped, at the end.
/// The stream within TLS, and whether the client showed a certificate.
fn shake_hands(config: Arc<ServerConfig>, mut stream: TcpStream) -> io::Result<(impl Read + Write, bool)> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let certificate = connection.peer_certificates().is_some_and(|chain| !chain.is_empty());
    Ok((StreamOwned::new(connection, stream), certificate))
}

/// `tls` is whether the client showed a certificate, where there is TLS.
fn converse(stream: impl Read + Write, tls: Option<bool>, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    for served in 0.. {
        let request = match read_request(&mut stream, tls.is_some()) {
            Ok(Some(request)) => Request { certificate: tls == Some(true), ..request },
            Ok(None) => return Ok(()),
            Err(error) => {
                let refusal = Reply::new(400, *b"400 Bad Request").until_close();
                return send(stream.get_mut(), &refusal, false).and(Err(error));
            }
        };
        if served > 0 && shared.state().one_request_a_connection {
            return Ok(());
        }
        let reply = shared.answer(&request);
        match send(stream.get_mut(), &reply, request.method == "HEAD")? {
            After::KeepAlive => {}
            After::Close => return Ok(()),
            After::Hang => {
                // Ends when the client closes, or when the registry is dropped.
                let mut rest = [0; 512];
                while stream.read(&mut rest)? > 0 {}
                return Ok(());
            }
        }
    }
    Ok(())
}
