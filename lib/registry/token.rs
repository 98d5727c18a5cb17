//! Access tokens (distribution spec: token.md, oauth.md).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde::Deserialize;

use super::credentials::Credential;
use super::transport::{Request, Security, Transport};
use super::url::{self, Url};
use super::{Error, Secret};

/// Longest answer of a token server that is read, in bytes.
const MAX_ANSWER: u64 = 256 << 10;

/// How long a token lives when its server does not say.
const DEFAULT_LIFE: u64 = 60;

/// A token is renewed so long before its end.
const MARGIN: Duration = Duration::from_secs(10);

/// What is asked of a token server.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub realm: &'a str,
    pub service: Option<&'a str>,
    pub scope: &'a str,
}

/// An access token and the moment it should be renewed.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub token: Secret,
    pub until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Fetches a token, for `credential` or for nobody in particular.
pub(super) fn fetch(
    transport: &Transport,
    security: Security,
    wanted: &Wanted<'_>,
    credential: Option<&Credential>,
    scrub: impl Fn(String) -> String,
) -> Result<Token, Error> {
    let request = request(wanted, credential, security)?;
    let timeout = transport.options().timeout;
    let answer = transport.send(&request, security)?;
    let shown = url::shown(&answer.url);
    if !answer.response.status().is_success() {
        let refused = matches!(answer.response.status().as_u16(), 400 | 401 | 403);
        let error = answer.into_error(timeout, scrub);
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
    let bytes = answer.body(MAX_ANSWER, timeout)?;
    // The parser's own text may quote a token.
    let bad = |what: &str| Error::Protocol { url: shown.clone(), what: what.into() };
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| bad("the token server's answer is not valid"))?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let token = filled(answer.token).or(filled(answer.access_token));
    let token = token.ok_or_else(|| bad("the token server's answer holds no token"))?;
    let life = Duration::try_from_secs_f64(answer.expires_in.unwrap_or(0.0)).unwrap_or_default();
    // Servers are known to say 0 or nothing; the specification's minimum is a minute.
    let life = life.clamp(Duration::from_secs(DEFAULT_LIFE), Duration::from_secs(24 * 3600));
    Ok(Token { token: Secret::new(token), until: Instant::now() + life - MARGIN })
}

fn request(wanted: &Wanted<'_>, credential: Option<&Credential>, security: Security) -> Result<Request, Error> {
    let bad = |what: &str| Error::Auth { url: wanted.realm.chars().take(200).collect(), what: what.into() };
    let mut url: Url = wanted.realm.parse().map_err(|_| bad("is no address of a token server"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("is no address of a token server"));
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let secure = url.scheme() == "https" || url::is_loopback(&url);
    if !secure && credential.is_some() {
        let what = "credentials are not sent to a token server over plain HTTP".into();
        return Err(Error::Auth { url: url::shown(&url), what });
    }
    if !secure && !security.plain_http {
        let what = "the token server is reached over plain HTTP, which --insecure allows".into();
        return Err(Error::Auth { url: url::shown(&url), what });
    }
    if let Some(Credential::Identity(token)) = credential {
        let mut form: Url = "http://form/".parse().map_err(|_| bad("cannot be asked"))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", wanted.service.unwrap_or_default())
            .append_pair("client_id", "oci-fetch")
            .append_pair("scope", wanted.scope)
            .append_pair("refresh_token", token.reveal());
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
            query.append_pair("account", user);
        }
    }
    let mut request = Request::get(url);
    if let Some(Credential::Basic { user, password }) = credential {
        request.authorize(&basic(user, password))?;
    }
    Ok(request)
}

/// The value of an `Authorization` header with user and password (RFC 7617).
pub(super) fn basic(user: &str, password: &Secret) -> String {
    use base64::Engine;
    let pair = format!("{user}:{}", password.reveal());
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
