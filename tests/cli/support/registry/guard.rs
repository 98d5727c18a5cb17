//! Who may pull: nothing, Basic, or Bearer with a token server that may stand elsewhere.

use std::sync::{Arc, Mutex};

use super::http::{Reply, Request};
use super::text::base64_decode;

/// What a registry asks of its clients.
#[derive(Clone)]
pub enum Guard {
    Basic {
        user: &'static str,
        password: &'static str,
    },
    /// Tokens of this issuer, to be had at the URL.
    Bearer(Issuer, String),
}

/// Hands out tokens and knows them again. Clones share one memory.
#[derive(Clone, Default)]
pub struct Issuer(Arc<Mutex<Desk>>);

#[derive(Default)]
struct Desk {
    account: Option<(&'static str, &'static str)>,
    identity: Option<&'static str>,
    lifetime: Option<usize>,
    expired_status: u16,
    field: &'static str,
    /// How often each token was shown.
    tokens: Vec<usize>,
    scope: Option<&'static str>,
}

impl Issuer {
    /// Gives a token to anyone.
    pub fn anonymous() -> Self {
        let issuer = Self::default();
        issuer.set(|desk| (desk.expired_status, desk.field) = (401, "token"));
        issuer
    }

    /// Gives a token for this name and password.
    pub fn account(user: &'static str, password: &'static str) -> Self {
        Self::anonymous().with(|desk| desk.account = Some((user, password)))
    }

    /// Gives a token for this identity (refresh) token, by POST as OAuth 2 has it.
    pub fn identity(token: &'static str) -> Self {
        Self::anonymous().with(|desk| desk.identity = Some(token))
    }

    /// A token is good for this many requests.
    pub fn good_for(self, requests: usize) -> Self {
        self.with(|desk| desk.lifetime = Some(requests))
    }

    /// An expired token is answered with this status: 401, or 400 as some clouds do.
    pub fn expired_status(self, status: u16) -> Self {
        self.with(|desk| desk.expired_status = status)
    }

    /// The name of the token's field in the answer: `token` or `access_token`.
    pub fn field(self, name: &'static str) -> Self {
        self.with(|desk| desk.field = name)
    }

    /// The challenge asks for this scope instead of the repository's.
    pub fn scope(self, scope: &'static str) -> Self {
        self.with(|desk| desk.scope = Some(scope))
    }

    /// How many tokens it has handed out.
    pub fn issued(&self) -> usize {
        self.0.lock().unwrap().tokens.len()
    }

    fn with(self, change: impl FnOnce(&mut Desk)) -> Self {
        self.set(change);
        self
    }

    fn set(&self, change: impl FnOnce(&mut Desk)) {
        change(&mut self.0.lock().unwrap());
    }

    /// The answer to a request for a token.
    pub(super) fn answer(&self, request: &Request) -> Reply {
        let mut desk = self.0.lock().unwrap();
        let known = match (desk.account, desk.identity) {
            (Some(account), _) => basic(request).as_deref() == Some(&*format!("{}:{}", account.0, account.1)),
            (None, Some(identity)) => {
                request.method == "POST"
                    && request.form("grant_type") == ["refresh_token"]
                    && request.form("refresh_token") == [identity]
            }
            (None, None) => true,
        };
        if !known {
            return Reply::error(401, "UNAUTHORIZED", "incorrect username or password");
        }
        desk.tokens.push(0);
        let answer =
            serde_json::json!({ desk.field: format!("SECRET-token-{}", desk.tokens.len()), "expires_in": 300 });
        Reply::new(200, answer.to_string().into_bytes()).header("Content-Type", "application/json")
    }

    fn check(&self, request: &Request, realm: &str, service: &str) -> Option<Reply> {
        let mut desk = self.0.lock().unwrap();
        let repository = request.path().strip_prefix("/v2/").unwrap_or_default();
        let repository = repository.split("/manifests/").next().unwrap_or_default();
        let repository = repository.split("/blobs/").next().unwrap_or_default();
        let scope = desk.scope.map_or_else(|| format!("repository:{repository}:pull"), str::to_owned);
        let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
        if !repository.is_empty() {
            challenge += &format!(",scope=\"{scope}\"");
        }
        let refuse = |error: &str| {
            let challenge = if error.is_empty() { challenge.clone() } else { format!("{challenge},error=\"{error}\"") };
            Some(Reply::error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", &challenge))
        };
        let Some(authorization) = request.header("Authorization") else { return refuse("") };
        let number = authorization.strip_prefix("Bearer SECRET-token-").and_then(|n| n.parse::<usize>().ok());
        let lifetime = desk.lifetime.unwrap_or(usize::MAX);
        let expired_status = desk.expired_status;
        let Some(shown) = number.and_then(|n| desk.tokens.get_mut(n.checked_sub(1)?)) else {
            return refuse("invalid_token");
        };
        *shown += 1;
        match (*shown <= lifetime, expired_status) {
            (true, _) => None,
            (false, 401) => refuse("invalid_token"),
            (false, status) => Some(Reply::error(
                status,
                "DENIED",
                "Your authorization token has expired. Reauthenticate and try again.",
            )),
        }
    }
}

impl Guard {
    /// What to say to who may not, or `None` to who may.
    pub(super) fn check(&self, request: &Request) -> Option<Reply> {
        match self {
            Self::Basic { user, password } => {
                let right = basic(request).as_deref() == Some(&*format!("{user}:{password}"));
                (!right).then(|| {
                    Reply::error(401, "UNAUTHORIZED", "authentication required")
                        .header("WWW-Authenticate", "Basic realm=\"test\"")
                })
            }
            Self::Bearer(issuer, realm) => issuer.check(request, realm, "registry.test"),
        }
    }
}

/// `user:password` of a Basic header.
fn basic(request: &Request) -> Option<String> {
    let encoded = request.header("Authorization")?.strip_prefix("Basic ")?;
    String::from_utf8(base64_decode(encoded)?).ok()
}
