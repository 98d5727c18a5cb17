//! A host that serves the repository.

use std::sync::{Arc, Mutex};

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};

use super::answer::Answer;
use super::auth::Auth;
use super::challenge::Challenge;
use super::client::Security;
use super::destination::Referrer;
use super::error::ConnectFailure;
use super::mirrors::Location;
use super::token::Route;
use super::transport::{self, Request, Transport};
use super::url::{self, Url};
use super::{Error, Options};
use crate::sys::locked;

/// What the first answer reveals about a host.
#[derive(Clone, Copy)]
struct KnownHost {
    scheme: &'static str,
    sender: Referrer,
}

/// A host, the repository on it, and how to access it.
pub(super) struct Endpoint {
    host: String,
    repository: String,
    security: Security,
    /// Set by the first request.
    met: Mutex<Option<KnownHost>>,
    /// Whether the registry has been asked for the way in which it wants credentials.
    introduced: Mutex<bool>,
    auth: Auth,
    transport: Arc<Transport>,
}

impl Endpoint {
    pub(super) fn new(place: &Location, options: &Options, transport: &Arc<Transport>) -> Self {
        Self {
            host: place.host().to_owned(),
            repository: place.repository.clone(),
            security: Security {
                plain_http: options.insecure || place.insecure,
                any_certificate: options.tls_no_verify || place.insecure,
            },
            met: Mutex::new(None),
            introduced: Mutex::new(false),
            auth: Auth::new(&place.registry, &place.repository, place.is_mirror),
            transport: transport.clone(),
        }
    }

    /// The host, for messages.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn security(&self) -> Security {
        self.security
    }

    /// This host as a referrer; `None` before the first answer.
    pub(super) fn sender(&self) -> Option<Referrer> {
        self.met().map(|met| met.sender)
    }

    fn met(&self) -> Option<KnownHost> {
        *locked(&self.met)
    }

    fn route(&self) -> Route<'_> {
        Route { transport: &self.transport, security: self.security, sender: self.sender() }
    }

    /// Requests `kind/target` of the repository (`manifests/latest`), with a token if one is required. Returns any
    /// answer except a demand for authentication.
    pub(super) fn request(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Answer, Error> {
        let path = format!("{}/{path}", self.repository);
        self.introduce()?;
        let mut renewed = false;
        loop {
            let proof = self.auth.proof(self.route())?;
            let answer = self.send(
                |url| {
                    let mut request = Request { method: method.clone(), headers: headers.clone(), ..Request::get(url) };
                    proof.header.iter().try_for_each(|header| request.authorize(header))?;
                    Ok(request)
                },
                &path,
            )?;
            let challenge = challenge(&answer);
            let code = answer.status().as_u16();
            let asks = match code {
                401 => !answer.redirected,
                400 | 403 if proof.header.is_some() => !answer.redirected,
                // Repositories may be hidden from anonymous users.
                403 | 404 => !answer.redirected && challenge.is_some() && self.auth.is_known(&self.transport)?,
                _ => false,
            };
            if !asks {
                return Ok(answer);
            }
            let error = answer.into_error();
            if proof.header.is_some() && code != 401 && !says_expired(&error) {
                return Err(error);
            }
            if renewed {
                return Err(self.auth.denied(error));
            }
            self.auth.refused(&proof, challenge, error, self.route())?;
            renewed = true;
        }
    }

    /// If there are credentials, asks how they are to be presented: a registry may hide a repository from anonymous
    /// users and answer that it does not exist. Without credentials, the request is saved.
    fn introduce(&self) -> Result<(), Error> {
        let mut introduced = locked(&self.introduced);
        if *introduced {
            return Ok(());
        }
        if self.auth.is_known(&self.transport)? {
            let answer = self.send(|url| Ok(Request::get(url)), "")?;
            // What asks for them at another host is not the registry.
            if let (401, Some(challenge), false) = (answer.status().as_u16(), challenge(&answer), answer.redirected) {
                self.auth.introduce(challenge, self.route())?;
            }
        }
        *introduced = true;
        Ok(())
    }

    /// Sends a request by HTTPS, or by plain HTTP if that is allowed and the server does not speak TLS (R5). What the first
    /// request finds out holds for the rest of the run.
    fn send(&self, request: impl Fn(Url) -> Result<Request, Error>, path: &str) -> Result<Answer, Error> {
        let by = |scheme: &'static str| -> Result<Answer, Error> {
            let text = format!("{scheme}://{}/v2/{path}", self.host);
            let bad = |_| Error::Protocol { url: self.host.clone(), what: "is no host".into() };
            let answer = self.transport.send(&request(text.parse().map_err(bad)?)?, self.security, None)?;
            let sender = answer.sender;
            locked(&self.met).get_or_insert(KnownHost { scheme, sender });
            Ok(answer)
        };
        if let Some(met) = self.met() {
            return by(met.scheme);
        }
        let error = match by("https") {
            Err(error) => error,
            answered => return answered,
        };
        let Error::Transport {
            kind: kind @ (ConnectFailure::NotTls | ConnectFailure::Refused | ConnectFailure::Silent),
            what,
            ..
        } = &error
        else {
            return Err(error);
        };
        if !self.security.plain_http && !url::is_loopback_host(&self.host) {
            return Err(error);
        }
        log::debug!("{}: no HTTPS ({what}), trying plain HTTP", self.host);
        let answer = by("http")?;
        // This is how an HTTPS server that is slow to shake hands answers plain HTTP.
        if *kind == ConnectFailure::Silent && answer.status() == StatusCode::BAD_REQUEST {
            *locked(&self.met) = None;
            return Err(error);
        }
        Ok(answer)
    }
}

/// The challenge in an answer.
fn challenge(answer: &Answer) -> Option<Challenge> {
    let values: Vec<String> = answer.headers().get_all(WWW_AUTHENTICATE).iter().map(transport::text).collect();
    Challenge::best(values.iter().map(String::as_str))
}

/// Whether an error is about an expired token, for which some registries use 400 or 403 (R2).
fn says_expired(error: &Error) -> bool {
    let Error::Status { message: Some(message), .. } = error else { return false };
    let message = message.to_ascii_lowercase();
    message.contains("expired") && (message.contains("token") || message.contains("auth"))
}
