//! HTTP requests, one host at a time: redirects, certificates, proxies, and what went wrong in words.

use std::collections::HashMap;
use std::error::Error as _;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, redirect};

use super::error::Failure;
use super::roots::NoAuthorities;
use super::url::{self, Url};
use super::{Error, Options, retry, tls};

/// Most redirects in a row.
const MAX_REDIRECTS: usize = 10;

/// Most bytes of a server's error text that are read, and most characters of it that are shown.
const MAX_ERROR_BODY: u64 = 64 << 10;
const MAX_MESSAGE: usize = 400;

/// How long a handshake may take where plain HTTP would do: on loopback, and elsewhere with `--insecure`.
const TLS_PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Makes requests. One for a whole run: connections are kept and reused.
#[derive(Debug)]
pub(super) struct Transport {
    options: Options,
    /// Host and port of the registry that the user named: the client certificate of the command line is for it alone.
    named: Option<String>,
    clients: Mutex<HashMap<(String, Security), Client>>,
}

/// What a connection may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Security {
    /// Plain HTTP is allowed off loopback.
    pub plain_http: bool,
    /// Any certificate is accepted.
    pub any_certificate: bool,
}

/// A request without what the transport adds.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub form: Option<String>,
}

/// An answer, and where it came from.
#[derive(Debug)]
pub(super) struct Answer {
    pub response: Response,
    /// The last address, after redirects.
    pub url: Url,
    /// Whether it came from another host than was asked.
    pub redirected: bool,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), form: None }
    }

    /// Adds what proves who we are; it is sent to this origin alone.
    pub(super) fn authorize(&mut self, value: &str) -> Result<(), Error> {
        let bad = |_| Error::Auth { url: url::shown(&self.url), what: "credentials hold control characters".into() };
        let mut value = HeaderValue::from_str(value).map_err(bad)?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

impl Transport {
    /// `host` is the registry that the user named, with or without a port.
    pub(super) fn new(options: Options, host: Option<&str>) -> Self {
        // A second run in one process keeps the first provider, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // As addresses are written: in small letters, without the port that goes without saying.
        let named =
            host.and_then(|host| format!("https://{host}/").parse::<Url>().ok()).map(|url| url::authority(&url));
        Self { options, named, clients: Mutex::default() }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Sends a request and follows redirects; `Authorization` never leaves the origin it was meant for (R3).
    pub(super) fn send(&self, request: &Request, security: Security) -> Result<Answer, Error> {
        let mut request = request.clone();
        let mut redirected = false;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(&request, security)?;
            let status = response.status();
            let location = response.headers().get(LOCATION);
            let (true, Some(location)) = (matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308), location) else {
                return Ok(Answer { response, url: request.url, redirected });
            };
            let bad = |what: String| Error::Protocol { url: url::shown(&request.url), what };
            let next = location.to_str().ok().and_then(|location| request.url.join(location).ok());
            let mut next = next.ok_or_else(|| bad("redirects to what is no address".into()))?;
            if !matches!(next.scheme(), "http" | "https") {
                return Err(bad(format!("redirects to a {} address", next.scheme())));
            }
            // A user in an address would become an Authorization header again.
            let _ = next.set_username("");
            let _ = next.set_password(None);
            if !url::same_origin(&request.url, &next) {
                // A form carries a refresh token.
                if request.form.is_some() {
                    return Err(bad("redirects credentials to another host".into()));
                }
                request.headers.remove(AUTHORIZATION);
                redirected = true;
            }
            request.url = next;
        }
        let what = format!("more than {MAX_REDIRECTS} redirects");
        Err(Error::Protocol { url: url::shown(&request.url), what })
    }

    fn send_once(&self, request: &Request, security: Security) -> Result<Response, Error> {
        let url = &request.url;
        let plain = url.scheme() == "http";
        if plain && !security.plain_http && !url::is_loopback(url) {
            let what = "plain HTTP is used on loopback only (--insecure allows it)".into();
            return Err(Error::Protocol { url: url::shown(url), what });
        }
        log::debug!("{} {}", request.method, url::shown(url));
        let client = self.client(url, security)?;
        let mut builder = client.request(request.method.clone(), url.clone()).headers(request.headers.clone());
        if let Some(form) = &request.form {
            builder = builder.header("content-type", "application/x-www-form-urlencoded").body(form.clone());
        }
        let sent = builder.send();
        let response = sent.map_err(|error| transport_error(url, error, self.options.timeout))?;
        log::debug!("{} {}: {}", request.method, url::shown(url), response.status());
        Ok(response)
    }

    fn client(&self, url: &Url, security: Security) -> Result<Client, Error> {
        let key = (format!("{}://{}", url.scheme(), url::authority(url)), security);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(url, security)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, url: &Url, security: Security) -> Result<Client, Error> {
        let unusable = |what| Error::Transport { url: url::shown(url), what, kind: Failure::Permanent };
        let plain = url.scheme() == "http";
        let mut builder = Client::builder()
            .user_agent(concat!("oci-fetch/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(self.options.timeout)
            .connect_timeout(self.options.timeout)
            .tcp_nodelay(true);
        if !plain && (security.plain_http || url::is_loopback(url)) {
            // A server of plain HTTP may wait for the end of a line that TLS does not send.
            let patience = if url::is_loopback(url) { TLS_PATIENCE.0 } else { TLS_PATIENCE.1 };
            builder = builder.connect_timeout(patience.min(self.options.timeout / 2));
        }
        if url::is_loopback(url) {
            // As Go programs do: a proxy is never asked for this machine.
            builder = builder.no_proxy();
        }
        if plain {
            builder = tls::configure_for_proxy(builder).map_err(|error| unusable(error.to_string()))?;
        } else {
            let authority = url::authority(url);
            let identity = self.options.identity.as_ref().filter(|_| self.named.as_deref() == Some(&*authority));
            let any = security.any_certificate || self.options.tls_no_verify;
            builder = tls::configure(builder, &authority, self.options.ca_cert.as_deref(), identity, any)?;
        }
        builder.build().map_err(|error| unusable(words(&error.without_url())))
    }
}

impl Answer {
    /// Reads a body of at most `max` bytes.
    pub(super) fn body(mut self, max: u64, timeout: Duration) -> Result<Vec<u8>, Error> {
        let long =
            || Error::Protocol { url: url::shown(&self.url), what: format!("the answer is longer than {max} bytes") };
        if self.response.content_length().is_some_and(|length| length > max) {
            return Err(long());
        }
        let mut bytes = Vec::new();
        let read = (&mut self.response).take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| read_error(&self.url, &error, timeout))?;
        match bytes.len() as u64 > max {
            true => Err(long()),
            false => Ok(bytes),
        }
    }

    /// A header's value, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// What to add to the news that the bytes are wrong: an encoding that nobody asked for is the likely cause. Bytes
    /// that are right are taken whatever it says, since some stores of blobs say it of every file that is compressed.
    pub(super) fn encoding(&self) -> String {
        let named = self.header("content-encoding").filter(|name| !name.is_empty() && *name != "identity");
        let named = named.map(|name| name.chars().take(20).collect::<String>());
        named.map(|name| format!(" (sent with Content-Encoding {name}, which was not asked for)")).unwrap_or_default()
    }

    /// The error that an answer without success stands for. `scrub` takes secrets out of the server's text.
    pub(super) fn into_error(self, timeout: Duration, scrub: impl Fn(String) -> String) -> Error {
        let status = self.response.status();
        let retry_after = self.header("retry-after").and_then(retry::retry_after);
        let (url, redirected) = (url::shown(&self.url), self.redirected);
        let body = self.body_start(timeout);
        let message = message(&body).map(scrub).map(|text| shorten(&text));
        let status_text = match status.canonical_reason() {
            Some(reason) => format!("{} {reason}", status.as_u16()),
            None => status.as_u16().to_string(),
        };
        Error::Status { url, status: status_text, code: status.as_u16(), message, retry_after, redirected }
    }

    fn body_start(mut self, timeout: Duration) -> Vec<u8> {
        // An error's text is a bonus: what of it arrives is enough, and it may not take long.
        let deadline = std::time::Instant::now() + timeout;
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        while (bytes.len() as u64) < MAX_ERROR_BODY && std::time::Instant::now() < deadline {
            match self.response.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            }
        }
        bytes
    }
}

/// The server's own words: the distribution spec's error list, OAuth2's fields, else a text that is no HTML.
fn message(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Listed {
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<Listed>,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        error_description: Option<String>,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }
    if let Ok(found) = serde_json::from_slice::<Errors>(body) {
        let join = |parts: [Option<String>; 2]| {
            parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
        };
        let mut texts: Vec<String> = found.errors.into_iter().map(|e| join([e.code, e.message])).collect();
        texts.push(join([found.error, found.error_description.or(found.details).or(found.message)]));
        texts.retain(|text| !text.is_empty());
        return Some(texts.join("; ")).filter(|text| !text.is_empty());
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    (!text.is_empty() && !text.starts_with('<')).then(|| text.to_owned())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// A failed read of a body.
pub(super) fn read_error(url: &Url, error: &io::Error, timeout: Duration) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    let stalled = error.kind() == io::ErrorKind::TimedOut || inner.is_some_and(reqwest::Error::is_timeout);
    let what = match (stalled, inner) {
        (true, _) => format!("stalled: no byte for {} s", timeout.as_secs()),
        // The texts of reqwest hold the address, those beneath do not.
        (false, Some(inner)) => match inner.source() {
            Some(source) => format!("the connection broke off: {}", words(source)),
            None => "the connection broke off".into(),
        },
        (false, None) => format!("the connection broke off: {}", words(error)),
    };
    Error::Transport { url: url::shown(url), what, kind: Failure::Transient }
}

fn transport_error(url: &Url, error: reqwest::Error, timeout: Duration) -> Error {
    let error = error.without_url();
    let cause = match error.source() {
        Some(source) => words(source),
        None => words(&error),
    };
    let tls = failure(&error);
    let host = || url.host_str().unwrap_or_default();
    let what = match tls {
        _ if error.is_timeout() => format!("no answer for {} s", timeout.as_secs()),
        Some(Failure::NotTls) => format!("{} does not speak TLS: {cause}", url::authority(url)),
        Some(_) => format!("TLS with {} failed: {cause}", url::authority(url)),
        None if error.is_dns() => format!("the host {} cannot be found: {cause}", host()),
        None if error.is_connect() => format!("cannot connect: {cause}"),
        None => cause,
    };
    let kind = match tls {
        _ if error.is_builder() => Failure::Permanent,
        _ if error.is_connect() && error.is_timeout() => Failure::Silent,
        Some(kind) => kind,
        // The resolver's "temporary failure" may pass, "no such name" does not.
        None if error.is_dns() && !what.to_ascii_lowercase().contains("temporary") => Failure::Permanent,
        None if error.is_dns() => Failure::Transient,
        None if error.is_connect() => Failure::Refused,
        None => Failure::Transient,
    };
    Error::Transport { url: url::shown(url), what, kind }
}

/// What the errors beneath say about TLS.
fn failure(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(match tls {
                rustls::Error::InvalidMessage(_) => Failure::NotTls,
                rustls::Error::Other(other) if other.0.is::<NoAuthorities>() => Failure::NoAuthorities,
                _ => Failure::Tls,
            });
        }
        // An io::Error hands out its inner error's source, not the inner error.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| failure(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error with its causes, each once, without the layers of libraries that only say that something beneath failed.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    for layer in ["client error (Connect): ", "dns error: ", "error resolving DNS: ", "tcp connect error: "] {
        text = text.replace(layer, "");
    }
    text.replace("tunnel error: failed to create underlying connection", "the proxy does not answer")
}
