//! Docker's `config.json` and Podman's `auth.json`: one format with two ways to write its keys (containers-auth.json(5),
//! docker-login(1)).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use serde_json::{Map, Value};

use super::credential::Credential;
use super::go_json::{self, NoText};
use super::{Error, Secret, credential_helper, hide_password};
use crate::image::{DEFAULT_REGISTRY, usual_registry};
use crate::sys::{Pipes, read_small_file};

/// The limit on the size of the file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The server name under which Docker keeps the credentials for its own registry.
const DOCKER_SERVER: &str = "https://index.docker.io/v1/";

/// A file of credentials. Not `Debug`: it is full of secrets.
#[derive(Default)]
pub(super) struct DockerConfig {
    auths: BTreeMap<String, AuthEntry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl DockerConfig {
    /// Reads a file; `None` if it does not exist. An invalid entry is skipped with a warning, since it concerns only one
    /// registry. A pipe, which secret managers use, may take as long as `patience`.
    pub(super) fn read(path: &Path, patience: Duration) -> Result<Option<Self>, Error> {
        let bad = |what: String| Error::File { path: path.into(), what };
        let bytes = match read_small_file(path, MAX_FILE, Pipes::Awaited(patience)) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(bad(error.to_string())),
        };
        let (config, odd) = Self::parse(&bytes).map_err(bad)?;
        odd.iter().for_each(|what| log::warn!("{}: {what}", path.display()));
        Ok(Some(config))
    }

    /// Parses a file; also returns descriptions of malformed parts, without secrets.
    fn parse(bytes: &[u8]) -> Result<(Self, Vec<String>), String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let (mut config, mut odd) = (Self::default(), Vec::new());
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok((config, odd));
        }
        // The parser's message may quote a secret, so show only the position.
        let place = |e: serde_json::Error| format!("not valid credentials at line {} column {}", e.line(), e.column());
        let root: Map<String, Value> = serde_json::from_slice(bytes).map_err(place)?;
        let mut entries = |name: &'static str| match go_json::field(&root, name) {
            None => Map::new(),
            Some(Value::Object(entries)) => entries.clone(),
            Some(_) => {
                odd.push(format!("'{name}' is no object"));
                Map::new()
            }
        };
        let (auths, helpers) = (entries("auths"), entries("credHelpers"));
        auths.keys().chain(helpers.keys()).for_each(|key| hide_password(key));
        for (key, value) in auths {
            match AuthEntry::parse(&value) {
                Ok(auth) => drop(config.auths.insert(key, auth)),
                Err(NoText) => odd.push(format!("the entry for {key:?} makes no sense")),
            }
        }
        for (key, value) in helpers {
            match value {
                Value::String(name) if !name.is_empty() => drop(config.cred_helpers.insert(key, name)),
                Value::String(_) | Value::Null => {}
                _ => odd.push(format!("the credential helper for {key:?} makes no sense")),
            }
        }
        match go_json::text(&root, "credsStore") {
            Ok(name) => config.creds_store = name.map(str::to_owned),
            Err(NoText) => odd.push("'credsStore' makes no sense".into()),
        }
        Ok((config, odd))
    }

    /// The credentials for a repository: from a helper for it, else from the most specific entry, else from the general
    /// helper. Helpers are asked for the name that the file uses for the registry, since that is what they were told
    /// when it was written.
    pub(super) fn lookup(&self, registry: &str, repository: &str) -> Option<Credential> {
        let wanted = keys(registry, repository);
        let server = if registry == DEFAULT_REGISTRY { DOCKER_SERVER } else { registry };
        let ask_as = |name: &str, key: Option<&str>| {
            let other = Some(server).filter(|server| key != Some(server));
            key.into_iter().chain(other).find_map(|server| ask(name, server))
        };
        if let Some(found) = best(&self.cred_helpers, &wanted).and_then(|(key, name)| ask_as(name, Some(key))) {
            return Some(found);
        }
        let own = best(&self.auths, &wanted);
        let entry = own.and_then(|(key, auth)| auth.credential(key));
        entry.or_else(|| ask_as(self.creds_store.as_deref()?, own.map(|(key, _)| key)))
    }
}

fn ask(name: &str, server: &str) -> Option<Credential> {
    credential_helper::get(name, server).unwrap_or_else(|what| {
        log::warn!("{what}");
        None
    })
}

/// The most specific key, as written, and its value.
fn best<'a, T>(map: &'a BTreeMap<String, T>, wanted: &[String]) -> Option<(&'a str, &'a T)> {
    wanted.iter().find_map(|key| {
        let exact = map.get_key_value(key);
        exact.or_else(|| map.iter().find(|(written, _)| normal(written) == *key)).map(|(key, value)| (&**key, value))
    })
}

/// The keys that match a repository, most specific first: `host/a/b`, `host/a`, `host`.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let mut keys = vec![format!("{registry}/{repository}")];
    while let Some((shorter, _)) = keys.last().and_then(|key| key.rsplit_once('/')) {
        let shorter = shorter.to_owned();
        keys.push(shorter);
    }
    keys
}

/// Converts a key to Podman's form: Docker writes URLs, with a scheme and an API version.
fn normal(key: &str) -> String {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let key = match rest {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2"),
    };
    let (host, path) = key.split_once('/').map_or((key, None), |(host, path)| (host, Some(path)));
    let host = usual_registry(host);
    path.map_or_else(|| host.to_owned(), |path| format!("{host}/{path}"))
}

impl AuthEntry {
    fn parse(value: &Value) -> Result<Self, NoText> {
        let entry = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(entry) => entry,
            _ => return Err(NoText),
        };
        let text = |name| Ok(go_json::text(entry, name)?.map(str::to_owned));
        Ok(Self {
            auth: text("auth")?,
            username: text("username")?,
            password: text("password")?,
            identitytoken: text("identitytoken")?,
            registrytoken: text("registrytoken")?,
        })
    }

    fn credential(&self, key: &str) -> Option<Credential> {
        if let Some(token) = &self.identitytoken {
            return Some(Credential::Identity(Secret::new(token.as_str())));
        }
        if let Some(token) = &self.registrytoken {
            return Some(Credential::Bearer(Secret::new(token.as_str())));
        }
        if let Some(auth) = &self.auth {
            let found = decode(auth);
            if found.is_none() {
                log::warn!("the 'auth' of the credentials for {key} is no user and password in base64");
            }
            return found;
        }
        let (user, password) = (self.username.clone()?, self.password.as_deref()?);
        Some(Credential::Basic { user: user.into_bytes(), password: Secret::new(password) })
    }
}

/// Decodes user and password from an `auth`. They may be in any encoding, and base64(1) breaks long lines.
fn decode(auth: &str) -> Option<Credential> {
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let auth: String = auth.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let pair = engine.decode(auth).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, password) = (&pair[..colon], &pair[colon + 1..]);
    // Docker pads the password with NULs.
    let start = password.iter().position(|byte| *byte != 0).unwrap_or(password.len());
    let end = password.iter().rposition(|byte| *byte != 0).map_or(start, |last| last + 1);
    Some(Credential::Basic { user: user.to_vec(), password: Secret::new(&password[start..end]) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn user(config: &str, registry: &str, repository: &str) -> Option<String> {
        let (config, _) = DockerConfig::parse(config.as_bytes()).unwrap();
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        config.lookup(registry, repository).map(|credential| match credential {
            Credential::Basic { user, password } => format!("{}:{}", text(&user), text(password.reveal())),
            Credential::Identity(token) => format!("identity {}", text(token.reveal())),
            Credential::Bearer(token) => format!("bearer {}", text(token.reveal())),
        })
    }

    #[test]
    fn the_most_exact_key_is_taken_in_both_ways_of_writing() {
        let config = r#"{"auths":{
            "quay.io/org/app":{"auth":"YTox"},"quay.io/org":{"auth":"Yjoy"},"quay.io":{"auth":"Yzoz"},
            "https://index.docker.io/v1/":{"auth":"ZDo0"},"https://reg.example:5000":{"username":"e","password":"5"},
            "http://old.example/v2/":{"auth":"Zjo2"},
            "tok.example":{"auth":"eDp5","identitytoken":"idt"},"reg.token":{"registrytoken":"rt"},
            "empty.example":{},"bad.example":{"auth":"%%"}}}"#;
        for (registry, repository, expected) in [
            ("quay.io", "org/app", Some("a:1")),
            ("quay.io", "org/app/sub", Some("a:1")),
            ("quay.io", "org/apple", Some("b:2")),
            ("quay.io", "other", Some("c:3")),
            ("docker.io", "library/nginx", Some("d:4")),
            ("reg.example:5000", "x", Some("e:5")),
            ("reg.example", "x", None),
            ("old.example", "x", Some("f:6")),
            ("tok.example", "x", Some("identity idt")),
            ("reg.token", "x", Some("bearer rt")),
            ("empty.example", "x", None),
            ("bad.example", "x", None),
            ("elsewhere", "x", None),
        ] {
            assert_eq!(user(config, registry, repository).as_deref(), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn what_go_reads_is_read() {
        let config = r#"{"AUTHS":{
            "lines":{"auth":"YWJj\nOmRl\r\nZg=="},"latin":{"Auth":"dXNlcjpw5A=="},"nuls":{"auth":"YTpiAAA="},
            "null":null,"nullfield":{"auth":null,"username":"u","password":"p"},"unpadded":{"auth":"YTo"},
            "number":7,"text":"hunter2","list":[],"field":{"auth":5},"nocolon":{"auth":"YWJj"}}}"#;
        for (registry, expected) in [
            ("lines", Some("abc:def")),
            ("latin", Some("user:p\\xe4")),
            ("nuls", Some("a:b")),
            ("unpadded", Some("a:")),
            ("nullfield", Some("u:p")),
            ("null", None),
            ("number", None),
            ("text", None),
            ("field", None),
            ("nocolon", None),
        ] {
            assert_eq!(user(config, registry, "x").as_deref(), expected, "{registry}");
        }
        let (_, odd) = DockerConfig::parse(config.as_bytes()).unwrap();
        assert_eq!(odd.len(), 4, "{odd:?}");
        assert!(odd.iter().all(|what| !what.contains("hunter2")), "{odd:?}");
        for odd in [r#"{"auths":[],"credHelpers":7,"credsStore":{}}"#, "\u{feff}{}", " \n", r#"{"auths":null}"#] {
            assert_eq!(user(odd, "x", "y"), None);
        }
    }

    #[test]
    fn a_broken_file_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        for broken in [r#"{"auths":{"a":"hunter2"}"#, "[]", r#""hunter2""#] {
            std::fs::write(&path, broken).unwrap();
            let Err(error) = DockerConfig::read(&path, Duration::ZERO) else { panic!("taken") };
            let text = error.to_string();
            assert!(text.contains("config.json") && text.contains("line 1") && !text.contains("hunter2"), "{text}");
        }
        assert!(DockerConfig::read(&dir.path().join("none"), Duration::ZERO).unwrap().is_none());
    }
}
