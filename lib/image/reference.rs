//! Image references, in the syntax of Docker's command line.

use std::fmt;
use std::str::FromStr;

use super::Digest;
use super::beginning::beginning;

/// The default registry.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A reference with all defaults filled in: `nginx` is `docker.io/library/nginx:latest`.
///
/// The grammar is that of `distribution/reference`; all parts are safe in a URL path and in a file name (R6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host and port: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub registry: String,
    /// The path of the repository: `library/nginx`.
    pub repository: String,
    /// The tag; beside a digest, it is only displayed.
    pub tag: Option<String>,
    /// The digest; it takes precedence over a tag.
    pub digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no image reference: {what}")]
pub struct ReferenceError {
    /// The text, at most its first 300 characters.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
}

const MAX_NAME: usize = 255;

impl Reference {
    /// The digest or else the tag, as the registry's API takes it.
    #[must_use]
    pub fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".into(),
        }
    }

    /// Registry and repository: `docker.io/library/nginx`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name of the image in a store; without the tag if there is a digest.
    #[must_use]
    pub fn store_name(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name()),
            None => format!("{}:{}", self.name(), self.target()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|what| ReferenceError { text: beginning(text, 300), what })
    }
}

/// The name of a registry in references: Docker Hub has others.
#[must_use]
pub fn usual_registry(name: &str) -> &str {
    if matches!(name, "index.docker.io" | "registry-1.docker.io") { DEFAULT_REGISTRY } else { name }
}

fn parse(text: &str) -> Result<Reference, String> {
    let rest = text.strip_prefix("docker://").unwrap_or(text);
    if let Some((scheme, _)) = rest.split_once("://") {
        return Err(format!("a name without {scheme}:// is expected"));
    }
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|e| e.to_string())?)),
        None => (rest, None),
    };
    // A colon after the last slash starts the tag; before it, the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(format!("{tag:?} is no tag"));
    }
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || has_upper(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = usual_registry(registry);
    if !is_registry(registry) {
        return Err(format!("{registry:?} is no registry"));
    }
    let repository = match (registry, repository.contains('/')) {
        (DEFAULT_REGISTRY, false) => format!("library/{repository}"),
        _ => repository.to_owned(),
    };
    if repository.strip_prefix("library/") == Some("") || repository.is_empty() {
        return Err("the name is missing".into());
    }
    if has_upper(&repository) {
        return Err("repository names are lower case".into());
    }
    if !repository.split('/').all(is_component) {
        return Err(format!("{repository:?} is no repository name"));
    }
    if registry.len() + repository.len() + 1 > MAX_NAME {
        return Err(format!("the name is longer than {MAX_NAME} bytes"));
    }
    let tag = match (tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag.map(str::to_owned),
    };
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

/// Whether two texts are spellings of one reference, such as `alpine` and `docker.io/library/alpine:latest`.
#[must_use]
pub fn is_same_reference(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<Reference>().ok();
    parsed(one).is_some_and(|one| Some(one) == parsed(other))
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_uppercase())
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = [component.bytes().next(), component.bytes().last()];
    if !edges.iter().all(|edge| edge.is_some_and(word)) {
        return false;
    }
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators.into_iter().all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// A host name, an IPv4 address or an IPv6 address in brackets, optionally with a port.
fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match rest.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if rest.is_empty() => (None, None),
                None => return false,
            }
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        },
    };
    let is_label = |label: &str| {
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !label.is_empty() && label.bytes().all(ok) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.is_none_or(|host| host.split('.').all(is_label))
        && port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok_and(|p| p > 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_made_explicit() {
        for (given, explicit) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.21", "docker.io/library/nginx:1.21"),
            ("docker://nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("user/app", "docker.io/user/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("[::1]:5000/a/b__c/d--e", "[::1]:5000/a/b__c/d--e:latest"),
            ("ghcr.io/Org-x/app", ""),
            ("Host/app", "Host/app:latest"),
        ] {
            let got = given.parse::<Reference>().map(|r| r.to_string()).unwrap_or_default();
            assert_eq!(got, explicit, "{given}");
        }
        let both: Reference = format!("nginx:1.21@{DIGEST}").parse().unwrap();
        assert_eq!(both.target(), DIGEST);
        assert_eq!(both.to_string(), format!("docker.io/library/nginx:1.21@{DIGEST}"));
        assert_eq!(both.store_name(), format!("docker.io/library/nginx@{DIGEST}"));
        let digest: Reference = format!("nginx@{DIGEST}").parse().unwrap();
        assert_eq!(digest.tag, None);
    }

    #[test]
    fn what_could_leave_a_path_or_a_host_is_refused() {
        let long = "a".repeat(300);
        for bad in [
            "",
            ":",
            "nginx:",
            "nginx:-x",
            "Nginx",
            "a//b",
            "a/../b",
            "../b",
            "a/b/",
            "/a",
            "a b",
            "a\nb",
            "a:b:c/",
            "http://x/y",
            "x.y:0/a",
            "x.y:99999/a",
            "x.y:5o/a",
            "u@x.y/a",
            "x.y/a?b",
            "x.y/a#b",
            "x.y/a%2e",
            "-a.b/c",
            "nginx@sha256:00",
            "nginx@",
            "[::1/a",
            "[zz]/a",
            "[::1]x/a",
            "a___b",
            "a..b",
            "a._b",
            "library/",
            &long,
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was taken");
        }
    }
}
