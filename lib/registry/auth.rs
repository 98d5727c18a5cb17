//! Authentication to an endpoint: the `Authorization` header for every request.

use std::sync::Mutex;
use std::time::Instant;

use super::Error;
use super::challenge::Challenge;
use super::credential::Credential;
use super::credentials;
use super::token::{self, Route, Token, TokenRequest};
use super::transport::Transport;
use crate::sys::locked;

/// The authentication state of an endpoint, shared by parallel downloads.
pub(super) struct Auth {
    registry: String,
    repository: String,
    mirror: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The server's last challenge.
    challenge: Option<Challenge>,
    /// Looked up at the first challenge; `Some(None)` is anonymous.
    credential: Option<Option<Credential>>,
    header: Option<Authorization>,
    /// Incremented with every header, so that of several downloads whose token has expired only one renews it.
    generation: u64,
}

struct Authorization {
    value: Vec<u8>,
    until: Option<Instant>,
}

/// The header to send, and its generation.
#[derive(Clone)]
pub(super) struct Proof {
    pub header: Option<Vec<u8>>,
    generation: u64,
}

impl Auth {
    /// Authentication for a repository; the names are those under which credentials are kept.
    pub(super) fn new(registry: &str, repository: &str, mirror: bool) -> Self {
        Self { registry: registry.into(), repository: repository.into(), mirror, state: Mutex::default() }
    }

    /// The header for the next request; a token that is about to expire is renewed first.
    pub(super) fn proof(&self, route: Route<'_>) -> Result<Proof, Error> {
        let mut state = locked(&self.state);
        let expired = state.header.as_ref().and_then(|h| h.until).is_some_and(|until| until <= Instant::now());
        if expired {
            log::info!("{}: the token is about to expire and is renewed", self.registry);
            self.renew(&mut state, route)?;
        }
        Ok(Proof { header: state.header.as_ref().map(|h| h.value.clone()), generation: state.generation })
    }

    /// The server refused `used` with `challenge` and `error`: finds a better proof, or fails with the reason.
    pub(super) fn refused(
        &self,
        used: &Proof,
        challenge: Option<Challenge>,
        error: Error,
        route: Route<'_>,
    ) -> Result<(), Error> {
        let mut state = locked(&self.state);
        if state.generation != used.generation {
            return Ok(()); // another download has renewed it meanwhile
        }
        if challenge.is_some() {
            state.challenge = challenge;
        }
        if state.challenge.is_none() {
            return Err(error);
        }
        // A helper may return short-lived passwords, so ask it again.
        if used.header.is_some() {
            let before = state.credential.take().flatten();
            self.credential(&mut state, route.transport)?;
            let secret = |credential: Option<&Credential>| credential.map(|c| c.secret().clone());
            let same = secret(before.as_ref()) == secret(state.credential.as_ref().and_then(Option::as_ref));
            let is_fixed =
                matches!((&state.challenge, &before), (Some(Challenge::Basic), _) | (_, Some(Credential::Bearer(_))));
            if same && is_fixed {
                return Err(denied(error, before.is_some(), &self.registry));
            }
        }
        self.renew(&mut state, route)
    }

    /// Whether there are credentials for the registry.
    pub(super) fn is_known(&self, transport: &Transport) -> Result<bool, Error> {
        let mut state = locked(&self.state);
        self.credential(&mut state, transport)?;
        Ok(state.credential.as_ref().is_some_and(Option::is_some))
    }

    /// Makes the first proof, for a registry that challenges everyone with `challenge`, whose scope is not the
    /// repository's.
    pub(super) fn introduce(&self, mut challenge: Challenge, route: Route<'_>) -> Result<(), Error> {
        if let Challenge::Bearer { scope, .. } = &mut challenge {
            *scope = None;
        }
        let mut state = locked(&self.state);
        state.challenge = Some(challenge);
        self.renew(&mut state, route)
    }

    /// The error when a new proof is not accepted.
    pub(super) fn denied(&self, error: Error) -> Error {
        let known = locked(&self.state).credential.as_ref().is_some_and(Option::is_some);
        denied(error, known, &self.registry)
    }

    fn credential(&self, state: &mut State, transport: &Transport) -> Result<(), Error> {
        if state.credential.is_none() {
            state.credential =
                Some(credentials::lookup(transport.options(), &self.registry, &self.repository, self.mirror)?);
        }
        Ok(())
    }

    fn renew(&self, state: &mut State, route: Route<'_>) -> Result<(), Error> {
        self.credential(state, route.transport)?;
        let credential = state.credential.clone().flatten();
        let header = match (&state.challenge, &credential) {
            (_, Some(Credential::Bearer(token))) if state.header.is_none() => {
                Authorization { value: token::bearer(token), until: None }
            }
            (Some(Challenge::Basic), Some(Credential::Basic { user, password })) => {
                Authorization { value: token::basic(user, password), until: None }
            }
            (Some(Challenge::Bearer { realm, service, scope }), credential) => {
                let fallback = format!("repository:{}:pull", self.repository);
                let scope = scope.as_deref().unwrap_or(&fallback);
                let wanted = TokenRequest { realm, service: service.as_deref(), scope };
                let usable = credential.as_ref().filter(|c| !matches!(c, Credential::Bearer(_)));
                let Token { token, until } = token::fetch(route, &wanted, usable)?;
                Authorization { value: token::bearer(&token), until: Some(until) }
            }
            _ => {
                let what = match credential {
                    Some(_) => "the registry asks for a password, the credentials are a token".into(),
                    None => format!("authentication is required and there are no credentials for {}", self.registry),
                };
                return Err(Error::Auth { url: self.registry.clone(), what });
            }
        };
        state.header = Some(header);
        state.generation += 1;
        Ok(())
    }
}

fn denied(error: Error, known: bool, registry: &str) -> Error {
    match error {
        Error::Status { url, status, message, .. } => {
            let why = message.map(|m| format!(": {m}")).unwrap_or_default();
            if known {
                let what = format!("the credentials for {registry} are refused: {status}{why}");
                return Error::BadCredentials { url, what };
            }
            let what = format!("access is denied, and there are no credentials for {registry}: {status}{why}");
            Error::Auth { url, what }
        }
        other => other,
    }
}
