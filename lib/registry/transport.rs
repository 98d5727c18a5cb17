//! Sends HTTP requests by the right client for each host, and follows redirects that are within bounds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response};

use super::answer::Answer;
use super::client::{Host, Security};
use super::destination::{Referrer, Zone};
use super::http_versions::HttpVersions;
use super::runtime::Runtime;
use super::url::{self, Url};
use super::{Error, Options, failure, p521};
use crate::sys::locked;

/// The limit on consecutive redirects.
const MAX_REDIRECTS: usize = 10;

/// How much longer than others a first byte may take: a registry may have to fetch the blob itself first.
const FIRST_BYTE: u32 = 5;

/// Documents and tokens must be complete within this many times the longest silence.
const DOCUMENT: u32 = 10;

/// Sends requests. There is one for a whole run, so that connections are reused.
#[derive(Debug)]
pub(super) struct Transport {
    options: Options,
    runtime: Arc<Runtime>,
    /// The hosts, with ports, that the user or the configuration named. The last one is the registry of the image, the
    /// only one for which the client certificate of the command line is used.
    named: Vec<String>,
    hosts: Mutex<HashMap<ClientKey, Host>>,
}

/// How servers that do not speak HTTP/1.1 answer: 426, 505, and the load balancers' own status.
const OTHER_VERSION: [u16; 3] = [426, 464, 505];

/// What distinguishes clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClientKey {
    origin: String,
    security: Security,
    /// The server that sends us there.
    sender: Option<Referrer>,
}

/// Why there was no answer.
struct Unsent {
    error: Error,
    /// The server seems to speak another version of HTTP.
    speaks_other: bool,
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        Self { error, speaks_other: false }
    }
}

/// A request, without what the transport adds.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub form: Option<String>,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), form: None }
    }

    /// Adds an `Authorization` header, which is only sent to this origin.
    pub(super) fn authorize(&mut self, value: &[u8]) -> Result<(), Error> {
        let bad = |_| Error::Auth { url: url::shown(&self.url), what: "credentials hold control characters".into() };
        let mut value = HeaderValue::from_bytes(value).map_err(bad)?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

impl Transport {
    /// `hosts` are those to be asked, with or without a port, the registry of the image last.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn new<'a>(options: Options, hosts: impl Iterator<Item = &'a str>) -> Result<Self, Error> {
        // A second run in the same process keeps the first provider, which is the same.
        let _ = (*p521::provider()).clone().install_default();
        // Normalised as in URLs: lower case, without the default port.
        let authority = |host: &str| Some(url::authority(&format!("https://{host}/").parse::<Url>().ok()?));
        let named = hosts.filter_map(authority).collect();
        let runtime = Arc::new(Runtime::start().map_err(Error::Thread)?);
        Ok(Self { options, runtime, named, hosts: Mutex::default() })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// How long a document or a token may take altogether.
    pub(super) fn document_patience(&self) -> Duration {
        self.options.timeout.saturating_mul(DOCUMENT)
    }

    /// Sends a request and follows redirects; `Authorization` never leaves the origin it was meant for (R3). `sender`
    /// is the server that sent us there, `None` for a host that the user named.
    pub(super) fn send(
        &self,
        request: &Request,
        security: Security,
        sender: Option<Referrer>,
    ) -> Result<Answer, Error> {
        let mut request = request.clone();
        let (mut redirected, mut followed) = (false, false);
        if let Some(Err(why)) = sender.map(|sender| sender.judge(&request.url)) {
            return Err(Error::Protocol { url: url::shown(&request.url), what: format!("{why} (refused)") });
        }
        let mut sender = sender;
        for _ in 0..=MAX_REDIRECTS {
            let (response, answering) = self.send_once(&request, security, sender)?;
            let first = *sender.get_or_insert(answering);
            let location = response.headers().get(LOCATION);
            let (301 | 302 | 303 | 307 | 308, Some(location)) = (response.status().as_u16(), location) else {
                let (runtime, silence) = (Arc::clone(&self.runtime), self.options.timeout);
                let url = request.url;
                return Ok(Answer { response, url, followed, redirected, sender: first, runtime, silence });
            };
            let bad = |what: String| Error::Protocol { url: url::shown(&request.url), what };
            let next = follow(&request.url, &text(location));
            let mut next = next.ok_or_else(|| bad("redirects to what is no address".into()))?;
            if !matches!(next.scheme(), "http" | "https") {
                return Err(bad(format!("redirects to a {} address", next.scheme())));
            }
            // A user name in an address would become an Authorization header again.
            let _ = next.set_username("");
            let _ = next.set_password(None);
            let sending = Referrer { secure: first.secure || answering.secure, ..first };
            if let Err(why) = sending.judge(&next) {
                return Err(bad(format!("redirects to {}, which {why} (refused)", url::shown(&next))));
            }
            if !url::same_origin(&request.url, &next) {
                // A form contains a refresh token.
                if request.form.is_some() {
                    return Err(bad("redirects credentials to another host".into()));
                }
                request.headers.remove(AUTHORIZATION);
                redirected = true;
            }
            request.url = next;
            followed = true;
        }
        let what = format!("more than {MAX_REDIRECTS} redirects");
        Err(Error::Protocol { url: url::shown(&request.url), what })
    }

    /// Sends one request; also returns what kind of server answered.
    fn send_once(
        &self,
        request: &Request,
        security: Security,
        sender: Option<Referrer>,
    ) -> Result<(Response, Referrer), Error> {
        let url = &request.url;
        if url.scheme() == "http" && !security.plain_http && !url::is_loopback(url) {
            let what = "plain HTTP is used on loopback only (--insecure allows it)".into();
            return Err(Error::Protocol { url: url::shown(url), what });
        }
        let key = self.client_key(url, security, sender);
        let (host, response) = self.ask(request, &key)?;
        host.answered();
        log::debug!("{} {}: {}", request.method, url::shown(url), response.status());
        // The address of a proxy says nothing about that of the server.
        let peer = response.remote_addr().filter(|_| !host.is_proxied);
        let zone = peer.map_or_else(|| Zone::of_url(url), |peer| Zone::of(peer.ip()));
        Ok((response, Referrer { secure: url.scheme() == "https", zone }))
    }

    /// Sends one request in a version of HTTP that the server speaks: HTTP/2 only if it speaks nothing else.
    fn ask(&self, request: &Request, key: &ClientKey) -> Result<(Host, Response), Error> {
        let host = self.host(&request.url, key)?;
        let first = match self.ask_by(&host, request) {
            Err(Unsent { error, speaks_other: true }) => Err(error),
            Ok(response)
                if host.may_speak_other(&request.url) && OTHER_VERSION.contains(&response.status().as_u16()) =>
            {
                Ok(response)
            }
            asked => return asked.map(|response| (host, response)).map_err(|unsent| unsent.error),
        };
        log::debug!("{}: offering HTTP/2", url::shown(&request.url));
        let other = self.new_host(&request.url, key, HttpVersions::All)?;
        match self.ask_by(&other, request) {
            Ok(response) if response.version() == reqwest::Version::HTTP_2 => {
                locked(&self.hosts).insert(key.clone(), other.clone());
                Ok((other, response))
            }
            // The version did not matter.
            Ok(response) if first.is_err() => Ok((host, response)),
            // The first answer counts.
            _ => Ok((host, first?)),
        }
    }

    /// Sends one request with this client.
    fn ask_by(&self, host: &Host, request: &Request) -> Result<Response, Unsent> {
        let url = &request.url;
        let patience = self.options.timeout.saturating_mul(FIRST_BYTE);
        loop {
            log::debug!("{} {}", request.method, url::shown(url));
            let mut builder = host.client.request(request.method.clone(), url.clone()).headers(request.headers.clone());
            if !request.headers.contains_key(ACCEPT_ENCODING) {
                builder = builder.header(ACCEPT_ENCODING, "identity");
            }
            if let Some(form) = &request.form {
                builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
            }
            let sent = self.runtime.wait(patience, builder.send());
            match sent.ok_or_else(|| failure::unanswered(url, patience))? {
                Ok(response) => return Ok(response),
                // The server closed a connection while it was idle: not a failure, and no reason to wait.
                Err(error) if failure::is_cut_before_the_answer(&error) && host.lost_idle() => {
                    log::debug!("{}: an idle connection was closed, asking on another", url::shown(url));
                }
                Err(error) => {
                    let speaks_other = host.may_speak_other(url) && failure::is_no_http1(&error);
                    return Err(Unsent { error: failure::unsent(url, error, self.options.timeout), speaks_other });
                }
            }
        }
    }

    fn client_key(&self, url: &Url, security: Security, sender: Option<Referrer>) -> ClientKey {
        let authority = url::authority(url);
        // The user named this host anyway.
        let sender = sender.filter(|_| !self.named.contains(&authority));
        ClientKey { origin: format!("{}://{authority}", url.scheme()), security, sender }
    }

    /// The client for an address.
    fn host(&self, url: &Url, key: &ClientKey) -> Result<Host, Error> {
        let mut hosts = locked(&self.hosts);
        if let Some(host) = hosts.get(key) {
            return Ok(host.clone());
        }
        let host = self.new_host(url, key, HttpVersions::One)?;
        hosts.insert(key.clone(), host.clone());
        Ok(host)
    }

    fn new_host(&self, url: &Url, key: &ClientKey, versions: HttpVersions) -> Result<Host, Error> {
        let is_named = self.named.last() == Some(&url::authority(url));
        Host::new(url, key.security, &self.options, is_named, key.sender, versions)
    }
}

/// The value of a header as text: UTF-8, else Latin-1 as in old HTTP.
pub(super) fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

/// Resolves `location` relative to `from`. If it is not a URL but its first segment contains a colon, it is not a valid
/// relative reference either (RFC 3986, 4.2).
fn follow(from: &Url, location: &str) -> Option<Url> {
    let first = location.split(['/', '?', '#']).next().unwrap_or_default();
    match location.parse::<Url>() {
        Err(_) if first.contains(':') => None,
        _ => from.join(location).ok(),
    }
}
