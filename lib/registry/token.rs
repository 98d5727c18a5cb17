//! Access tokens (distribution spec: token.md, oauth.md).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Map, Value};

use super::client::Security;
use super::credential::Credential;
use super::destination::Referrer;
use super::go_json;
use super::transport::{Request, Transport};
use super::url::{self, Url};
use super::{Error, Secret, scrub, secret};
use crate::image::beginning::beginning;

/// The limit on the answer of a token server, in bytes.
const MAX_ANSWER: u64 = 256 << 10;

/// The lifetime of a token if the server does not state it, in seconds.
const DEFAULT_LIFE: u64 = 60;

/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_secs(10);

/// How to reach a token server: the transport, the safeguards, and who sends us there.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub transport: &'a Transport,
    pub security: Security,
    pub sender: Option<Referrer>,
}

/// The parameters of a token request.
#[derive(Clone, Debug)]
pub(super) struct TokenRequest<'a> {
    pub realm: &'a str,
    pub service: Option<&'a str>,
    pub scope: &'a str,
}

/// An access token and the moment at which to renew it.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub token: Secret,
    pub until: Instant,
}

/// The answer of a token server.
#[derive(Default)]
struct TokenResponse {
    token: Option<String>,
    expires_in: f64,
}

impl TokenResponse {
    /// Parses it as Go's clients do; `None` if it is not such an answer.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let root: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let text = |name| go_json::text(&root, name).ok();
        let token = text("token")?.or(text("access_token")?).map(str::to_owned);
        let expires_in = go_json::field(&root, "expires_in").map_or(Some(0.0), Value::as_f64)?;
        Some(Self { token, expires_in })
    }
}

/// Fetches a token, for `credential` or anonymously.
pub(super) fn fetch(
    route: Route<'_>,
    wanted: &TokenRequest<'_>,
    credential: Option<&Credential>,
) -> Result<Token, Error> {
    let request = request(route, wanted, credential)?;
    let answer = route.transport.send(&request, route.security, route.sender)?;
    let shown = url::shown(&answer.url);
    if !answer.status().is_success() {
        let refused = matches!(answer.status().as_u16(), 400 | 401 | 403);
        let error = answer.into_error();
        return Err(match (refused, error, credential) {
            (true, Error::Status { url, status, message, .. }, credential) => {
                let why = message.map(|m| format!(": {m}")).unwrap_or_default();
                let what = |who: &str| format!("the token server refuses {who}: {status}{why}");
                match credential {
                    Some(_) => Error::BadCredentials { url, what: what("the credentials") },
                    None => Error::Auth { url, what: what("access without credentials") },
                }
            }
            (_, error, _) => error,
        });
    }
    // The parser's message may quote a token.
    let bad = |what: &str| Error::Protocol { url: shown.clone(), what: what.into() };
    let body = answer.body(MAX_ANSWER, route.transport.document_patience())?;
    let bytes =
        body.right(|bytes| TokenResponse::parse(bytes).is_some(), |_| bad("the token server's answer is not valid"))?;
    let response = TokenResponse::parse(&bytes).unwrap_or_default();
    let token = response.token.ok_or_else(|| bad("the token server's answer holds no token"))?;
    let life = Duration::try_from_secs_f64(response.expires_in).unwrap_or_default();
    // Some servers state 0 or nothing; the minimum in the specification is a minute.
    let life = life.clamp(Duration::from_secs(DEFAULT_LIFE), Duration::from_secs(24 * 3600));
    Ok(Token { token: Secret::new(token), until: Instant::now() + life - MARGIN })
}

fn request(route: Route<'_>, wanted: &TokenRequest<'_>, credential: Option<&Credential>) -> Result<Request, Error> {
    let bad = |what: &str| Error::Auth { url: beginning(&scrub(wanted.realm), 200), what: what.into() };
    let mut url: Url = wanted.realm.parse().map_err(|_| bad("is no address of a token server"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("is no address of a token server"));
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let refused = |what: String| Error::Auth { url: url::shown(&url), what };
    if let Some(Err(why)) = route.sender.map(|sender| sender.judge(&url)) {
        return Err(refused(format!("the token server that the registry names {why} (refused)")));
    }
    // A registry that was reached over plain HTTP has exposed the password already.
    if url.scheme() == "http" && !url::is_loopback(&url) && !route.security.plain_http {
        return Err(refused("the token server is reached over plain HTTP, which --insecure allows".into()));
    }
    if let Some(Credential::Identity(token)) = credential {
        let mut form: Url = "http://form/".parse().map_err(|_| bad("cannot be asked"))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", wanted.service.unwrap_or_default())
            .append_pair("client_id", "oci-fetch")
            .append_pair("scope", wanted.scope)
            .append_pair("refresh_token", &String::from_utf8_lossy(token.reveal()));
        let form = form.query().map(str::to_owned);
        return Ok(Request { method: Method::POST, form, ..Request::get(url) });
    }
    {
        let mut query = url.query_pairs_mut();
        wanted.service.iter().for_each(|service| {
            query.append_pair("service", service);
        });
        wanted.scope.split(' ').filter(|scope| !scope.is_empty()).for_each(|scope| {
            query.append_pair("scope", scope);
        });
        if let Some(Credential::Basic { user, .. }) = credential {
            query.append_pair("account", &String::from_utf8_lossy(user));
        }
    }
    let mut request = Request::get(url);
    if let Some(Credential::Basic { user, password }) = credential {
        request.authorize(&basic(user, password))?;
    }
    Ok(request)
}

/// The value of an `Authorization` header with user name and password (RFC 7617).
pub(super) fn basic(user: &[u8], password: &Secret) -> Vec<u8> {
    use base64::Engine;
    let pair = [user, b":", password.reveal()].concat();
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    secret::hide_basic(user, password, &encoded);
    format!("Basic {encoded}").into_bytes()
}

/// The value of an `Authorization` header with a token (RFC 6750).
pub(super) fn bearer(token: &Secret) -> Vec<u8> {
    [b"Bearer ", token.reveal()].concat()
}
