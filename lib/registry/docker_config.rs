//! `config.json` of Docker and `auth.json` of Podman: one format, two ways to write its keys
//! (containers-auth.json(5), docker-login(1)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use serde::Deserialize;

use super::credentials::Credential;
use super::{Error, Secret, helper};
use crate::image::DEFAULT_REGISTRY;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The server name under which Docker keeps the credentials of its own registry.
const DOCKER_SERVER: &str = "https://index.docker.io/v1/";

/// One file of credentials. No `Debug`: it is full of secrets.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DockerConfig {
    auths: Option<BTreeMap<String, Auth>>,
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl DockerConfig {
    /// Reads a file; `None` when it is not there.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let bad = |what: String| Error::File { path: path.into(), what };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(bad(e.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Some(Self::default()));
        }
        // The parser's own text may quote a secret: its place alone is shown.
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| bad(format!("not valid credentials at line {} column {}", e.line(), e.column())))
    }

    /// The credentials for a repository. Helpers named for it go first, then entries of their own, the most exact one,
    /// then the general helper.
    pub(super) fn lookup(&self, registry: &str, repository: &str) -> Option<Credential> {
        let wanted = keys(registry, repository);
        let server = if registry == DEFAULT_REGISTRY { DOCKER_SERVER } else { registry };
        let named = self.cred_helpers.as_ref().and_then(|map| best(map, &wanted));
        if let Some(found) = named.and_then(|name| ask(name, server)) {
            return Some(found);
        }
        let store = self.creds_store.as_deref().filter(|name| !name.is_empty());
        let entry = self.auths.as_ref().and_then(|map| best(map, &wanted)).and_then(Auth::credential);
        entry.or_else(|| ask(store?, server))
    }
}

fn ask(name: &str, server: &str) -> Option<Credential> {
    helper::get(name, server).unwrap_or_else(|what| {
        log::warn!("{what}");
        None
    })
}

/// The value of the most exact key.
fn best<'a, T>(map: &'a BTreeMap<String, T>, wanted: &[String]) -> Option<&'a T> {
    wanted.iter().find_map(|key| {
        let exact = map.get(key);
        exact.or_else(|| map.iter().find(|(written, _)| normal(written) == *key).map(|(_, value)| value))
    })
}

/// Keys that fit a repository, the most exact first: `host/a/b`, `host/a`, `host`.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let mut keys = vec![format!("{registry}/{repository}")];
    while let Some((shorter, _)) = keys.last().and_then(|key| key.rsplit_once('/')) {
        let shorter = shorter.to_owned();
        keys.push(shorter);
    }
    keys
}

/// A key as Podman writes it: Docker writes addresses, with a scheme and the API's version.
fn normal(key: &str) -> String {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let key = match rest {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2"),
    };
    let (host, path) = key.split_once('/').map_or((key, None), |(host, path)| (host, Some(path)));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        other => other,
    };
    path.map_or_else(|| host.to_owned(), |path| format!("{host}/{path}"))
}

impl Auth {
    fn credential(&self) -> Option<Credential> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.identitytoken) {
            return Some(Credential::Identity(Secret::new(token)));
        }
        if let Some(token) = filled(&self.registrytoken) {
            return Some(Credential::Bearer(Secret::new(token)));
        }
        if let Some(auth) = filled(&self.auth) {
            let engine = base64::engine::GeneralPurpose::new(
                &base64::alphabet::STANDARD,
                base64::engine::GeneralPurposeConfig::new()
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
            );
            let Some(text) = engine.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
                log::warn!("an 'auth' entry of the credentials is not valid base64");
                return None;
            };
            let (user, password) = text.split_once(':')?;
            // Docker pads the password with NULs.
            let password = Secret::new(password.trim_matches('\0'));
            return Some(Credential::Basic { user: user.to_owned(), password });
        }
        let (user, password) = (filled(&self.username)?, filled(&self.password)?);
        Some(Credential::Basic { user, password: Secret::new(password) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn user(config: &str, registry: &str, repository: &str) -> Option<String> {
        let config: DockerConfig = serde_json::from_str(config).unwrap();
        config.lookup(registry, repository).map(|credential| match credential {
            Credential::Basic { user, password } => format!("{user}:{}", password.reveal()),
            Credential::Identity(token) => format!("identity {}", token.reveal()),
            Credential::Bearer(token) => format!("bearer {}", token.reveal()),
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
    fn a_broken_file_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"auths":{"a":"hunter2"}}"#).unwrap();
        let Err(error) = DockerConfig::read(&path) else { panic!("taken") };
        let text = error.to_string();
        assert!(text.contains("config.json") && text.contains("line 1") && !text.contains("hunter2"), "{text}");
        assert!(DockerConfig::read(&dir.path().join("none")).unwrap().is_none());
    }
}
