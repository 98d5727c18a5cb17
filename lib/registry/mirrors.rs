//! Mirrors and other locations of a repository, chosen as in containers-registries.conf(5).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Error;
use super::registries_conf::{self, Pull, Registry, plain};
use crate::image::{DEFAULT_REGISTRY, Reference, usual_registry};

/// The host that serves `docker.io`.
pub(super) const DOCKER_HOST: &str = "registry-1.docker.io";

/// A location of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The host, with its port, or `docker.io`.
    pub registry: String,
    /// The path of the repository there.
    pub repository: String,
    /// Plain HTTP and any certificate are allowed.
    pub insecure: bool,
    /// Whether it is not the registry that the user named.
    pub is_mirror: bool,
    /// What may be pulled from it.
    pub pull: Pull,
}

impl Location {
    /// The host that serves it.
    pub(super) fn host(&self) -> &str {
        if self.registry == DEFAULT_REGISTRY { DOCKER_HOST } else { &self.registry }
    }
}

/// Where to look for a repository, in order: its mirrors, then the registry itself. Settings from a pipe may take as long
/// as `patience`.
///
/// # Errors
/// When a settings file is invalid, or blocks the registry.
pub(super) fn locations(reference: &Reference, patience: Duration) -> Result<Vec<Location>, Error> {
    choose(&by_prefix(registries_conf::entries(patience)?), reference)
}

/// The entries of all files by prefix; later ones replace earlier ones.
fn by_prefix(entries: Vec<Registry>) -> BTreeMap<String, Registry> {
    entries.into_iter().map(|registry| (comparable(registry.name()), registry)).collect()
}

/// A name in the form for comparisons: the case of hosts does not matter, and Docker Hub has several.
fn comparable(name: &str) -> String {
    let (host, path) = name.split_at(name.find('/').unwrap_or(name.len()));
    usual_registry(&host.to_ascii_lowercase()).to_owned() + path
}

fn choose(registries: &BTreeMap<String, Registry>, reference: &Reference) -> Result<Vec<Location>, Error> {
    let name = reference.name();
    let fitting = registries
        .iter()
        .filter_map(|(prefix, entry)| Some((matched(prefix, entry, reference, &name)?, prefix, entry)));
    let own = Location {
        registry: reference.registry.clone(),
        repository: reference.repository.clone(),
        insecure: false,
        is_mirror: false,
        pull: Pull::All,
    };
    let Some((rest, prefix, registry)) = fitting.max_by_key(|(_, prefix, _)| prefix.len()) else {
        return Ok(vec![own]);
    };
    if registry.blocked {
        return Err(Error::Forbidden(format!("{name}: registries.conf blocks {prefix}")));
    }
    // An entry for a single image may repeat its tag or digest after its locations.
    let one = prefix.strip_prefix(&*comparable(&name)).unwrap_or_default();
    let parse = |location: &str| parse(location.strip_suffix(one).unwrap_or(location), rest);
    let mut places = Vec::new();
    for mirror in &registry.mirror {
        let pull =
            if registry.mirror_by_digest_only { Pull::DigestOnly } else { mirror.pull_from_mirror.unwrap_or_default() };
        let (registry, repository) = parse(&mirror.location)?;
        places.push(Location { registry, repository, insecure: mirror.insecure, is_mirror: true, pull });
    }
    let location = registry.location.as_deref().filter(|location| !location.is_empty());
    let (registry_host, repository) = match location {
        Some(location) => parse(location)?,
        None => (own.registry.clone(), own.repository.clone()),
    };
    places.push(Location { insecure: registry.insecure, registry: registry_host, repository, ..own });
    Ok(places)
}

/// The rest of `name` after `prefix`, if the prefix matches: at a path boundary, by `*.domain` with or without port and
/// path, or with the tag or digest of the reference after the whole name. A blocked host is blocked at every port.
fn matched<'a>(prefix: &str, entry: &Registry, reference: &Reference, name: &'a str) -> Option<&'a str> {
    let host = name.find('/').unwrap_or(name.len());
    let lower = name[..host].to_ascii_lowercase() + &name[host..];
    let is_border =
        |rest: &str, port: bool| rest.is_empty() || rest.starts_with('/') || (port && rest.starts_with(':'));
    if let Some(domain) = prefix.strip_prefix('*') {
        let domain_end = domain.find('/').unwrap_or(domain.len());
        let ends = lower
            .match_indices(domain)
            .filter(|(at, _)| *at > 0 && at + domain_end <= host)
            .map(|(at, _)| at + domain.len());
        return ends.map(|end| &name[end..]).find(|rest| is_border(rest, true));
    }
    match prefix.strip_prefix(&*lower) {
        Some(one) if !one.is_empty() => {
            let tag = reference.tag.as_ref().map(|tag| format!(":{tag}"));
            let digest = reference.digest.as_ref().map(|digest| format!("@{digest}"));
            [tag, digest].iter().flatten().any(|own| own == one).then_some("")
        }
        _ => lower.strip_prefix(prefix).map(|_| &name[prefix.len()..]).filter(|rest| is_border(rest, entry.blocked)),
    }
}

fn parse(location: &str, rest: &str) -> Result<(String, String), Error> {
    let text = format!("{}{rest}", plain(location));
    let bad = || Error::Forbidden(format!("registries.conf: {location:?} is no location for the image"));
    let (host, repository) = text.split_once('/').ok_or_else(bad)?;
    // A host of a single word is valid here, unlike in an image name.
    let probe: Reference = format!("{host}/{repository}").parse().map_err(|_| bad())?;
    if probe.digest.is_some() || probe.tag.as_deref() != Some("latest") || repository.ends_with(":latest") {
        return Err(bad());
    }
    if probe.registry == usual_registry(host) {
        Ok((probe.registry, probe.repository))
    } else {
        Ok((host.to_owned(), repository.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn places(conf: &str, name: &str) -> Result<Vec<String>, String> {
        let found =
            choose(&by_prefix(registries_conf::parse(conf)?), &name.parse().unwrap()).map_err(|e| e.to_string())?;
        let text =
            |p: &Location| format!("{}/{}{}", p.registry, p.repository, if p.insecure { " insecure" } else { "" });
        Ok(found.iter().map(text).collect())
    }

    const CONF: &str = r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        prefix = "docker.io"
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.example:5000"
        insecure = true
        [[registry.mirror]]
        location = "cache.example/hub"
        pull-from-mirror = "digest-only"
        [[registry]]
        prefix = "docker.io/library"
        location = "lib.example/official"
        [[registry]]
        prefix = "*.corp.example"
        location = "store.corp.example"
        insecure = true
        [[registry]]
        location = "evil.example"
        blocked = true
    "#;

    #[test]
    fn mirrors_first_then_the_place_itself() {
        let expected = ["mirror.example:5000/user/app insecure", "cache.example/hub/user/app", "docker.io/user/app"];
        assert_eq!(places(CONF, "user/app").unwrap(), expected);
        assert_eq!(places(CONF, "nginx").unwrap(), ["lib.example/official/nginx"]);
        assert_eq!(places(CONF, "a.corp.example/x").unwrap(), ["store.corp.example/x insecure"]);
        assert_eq!(places(CONF, "corp.example/x").unwrap(), ["corp.example/x"]);
        assert_eq!(places(CONF, "quay.io/x").unwrap(), ["quay.io/x"]);
        assert!(places(CONF, "evil.example/x").unwrap_err().contains("blocks evil.example"));
    }

    #[test]
    fn an_entry_may_be_for_one_image() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let conf = format!(
            r#"
            [[registry]]
            prefix = "a.example/app:1.2"
            location = "b.example/moved/app:1.2"
            [[registry.mirror]]
            location = "c.example/app"
            [[registry]]
            location = "a.example/bad:0.1"
            blocked = true
            [[registry]]
            location = "a.example/bad@{digest}"
            blocked = true
            [[registry]]
            prefix = "a.example/other:1"
            location = "a.example/other:2"
            [[registry]]
            prefix = "a.example/another:1"
            location = "a.example/another:latest"
            [[registry]]
            location = "a.example/same@{digest}"
            "#
        );
        let moved = ["c.example/app", "b.example/moved/app"];
        assert_eq!(places(&conf, "a.example/app:1.2").unwrap(), moved);
        assert_eq!(places(&conf, &format!("a.example/app:1.2@{digest}")).unwrap(), moved);
        for other in ["app:1.20", "app:1", "app", "app/x:1.2", "bad:0.2", "bad"] {
            let expected = format!("a.example/{}", other.split(':').next().unwrap());
            assert_eq!(places(&conf, &format!("a.example/{other}")).unwrap(), [expected]);
        }
        for blocked in ["bad:0.1", &format!("bad@{digest}"), &format!("bad:0.2@{digest}")] {
            let error = places(&conf, &format!("a.example/{blocked}")).unwrap_err();
            assert!(error.contains("blocks a.example/bad"), "{error}");
        }
        assert_eq!(places(&conf, &format!("a.example/same@{digest}")).unwrap(), ["a.example/same"]);
        // Another tag than was asked for.
        for name in ["a.example/other:1", "a.example/another:1"] {
            assert!(places(&conf, name).unwrap_err().contains("no location"), "{name}");
        }
    }

    #[test]
    fn slashes_at_the_end_mean_nothing_and_addresses_are_refused() {
        let conf = "[[registry]]\nprefix = \"a.example/team/\"\nlocation = \"b.example/x/\"\n";
        assert_eq!(places(conf, "a.example/team/app").unwrap(), ["b.example/x/app"]);
        assert_eq!(places(conf, "a.example/teams/app").unwrap(), ["a.example/teams/app"]);
        let wild = "[[registry]]\nprefix = \"*.example\"\n[[registry.mirror]]\nlocation = \"[::1]:5000/m/\"\n";
        assert_eq!(places(wild, "a.b.example/app").unwrap(), ["[::1]:5000/m/app", "a.b.example/app"]);
        for location in ["https://b.example", "b.example/x:tag", "b.example/../x", ""] {
            let conf =
                format!("[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = {location:?}\n");
            assert!(places(&conf, "a.example/app").unwrap_err().contains("no location"), "{location}");
        }
    }

    #[test]
    fn blocked_is_blocked_in_every_form() {
        let refused = |conf: &str, name: &str| {
            let error = places(conf, name).expect_err(&format!("{conf}: {name}"));
            assert!(error.contains("blocks"), "{error}");
        };
        let wild = "[[registry]]\nprefix = \"*.corp.test\"\nblocked = true\n";
        for name in [
            "a.corp.test/x",
            "a.corp.test:5000/x",
            "a.b.corp.test:5000/x/y:1",
            "A.Corp.Test/x",
            "x.corp.test.corp.test/y",
        ] {
            refused(wild, name);
        }
        for other in ["corp.test/x", "a.corp.test.evil/x", "b.test/a.corp.test/x", "acorp.test/x"] {
            assert!(places(wild, other).is_ok(), "{other}");
        }
        let ported = "[[registry]]\nprefix = \"*.corp.test:5000\"\nblocked = true\n";
        refused(ported, "a.corp.test:5000/x");
        assert!(places(ported, "a.corp.test:50001/x").is_ok() && places(ported, "a.corp.test/x").is_ok());
        let team = "[[registry]]\nprefix = \"*.corp.test/team\"\nblocked = true\n";
        refused(team, "a.corp.test/team/x");
        assert!(places(team, "a.corp.test/teams/x").is_ok() && places(team, "b.test/a.corp.test/team/x").is_ok());
        let host = "[[registry]]\nlocation = \"evil.test\"\nblocked = true\n[[registry]]\nlocation = \"evil.test:7\"\n";
        for name in ["evil.test/x", "EVIL.test/x", "evil.test:5000/x"] {
            refused(host, name);
        }
        assert!(places(host, "evil.test:7/x").is_ok(), "the longest prefix counts");
        for name in ["index.docker.io", "docker.io", "registry-1.docker.io"] {
            refused(&format!("[[registry]]\nlocation = \"{name}\"\nblocked = true\n"), "nginx");
        }
        refused("[registries.block]\nregistries = ['evil.test', 'b']\n", "evil.test/x");
        refused(
            "[registries.search]\nregistries = ['a']\n[registries.block]\nregistries = ['evil.test/team/']\n",
            "evil.test/team/x",
        );
        for spelling in [
            "[[Registry]]\nLocation = 'evil.test'\nBLOCKED = true\n",
            "Registry = [{ Prefix = 'evil.test', Blocked = true }, { prefix = 'other.test' }]\n",
            "[[registry]]\nprefix = 'evil.test'\nBlocked = false\nblocked = true\n",
            "[Registries.Block]\nRegistries = ['evil.test']\n",
        ] {
            refused(spelling, "evil.test/x");
        }
        let insecure = "[registries.insecure]\nregistries = ['lab.test:5000']\n";
        assert_eq!(places(insecure, "lab.test:5000/x").unwrap(), ["lab.test:5000/x insecure"]);
    }

    #[test]
    fn settings_that_would_forbid_nothing_are_errors() {
        for (conf, told) in [
            ("unqualified-search-registries = ['x']\n[registries.block]\nregistries = ['a']\n", "versions 1 and 2"),
            ("[registries.block]\nregistries = ['a']\n[[registry]]\nlocation = 'b'\n", "versions 1 and 2"),
            ("[[registry]]\nblocked = true\n", "neither"),
            ("[[registry]]\nprefix = ''\nlocation = '/'\nblocked = true\n", "neither"),
            ("[[registry]]\nlocation = 'https://evil.test'\nblocked = true\n", "no name"),
            ("[[registry]]\nprefix = '*'\nblocked = true\n", "no name"),
            ("[[registry]]\nprefix = 'evil.*'\nblocked = true\n", "no name"),
            ("[[registry]]\nlocation = 'a'\nblocked = true\n[[registry]]\nprefix = 'a/'\n", "by one entry and not"),
        ] {
            let error = places(conf, "evil.test/x").unwrap_err();
            assert!(error.contains(told), "{conf}: {error}");
        }
    }
}
