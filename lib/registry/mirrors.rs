//! Mirrors and other places of a repository: containers-registries.conf(5), version 2.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;
use crate::image::Reference;

/// One place where the repository can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// Host and port, or `docker.io`.
    pub registry: String,
    /// Path of the repository there.
    pub repository: String,
    /// Plain HTTP and any certificate are allowed.
    pub insecure: bool,
    /// Not what the user named.
    pub is_mirror: bool,
    /// What may be asked of it.
    pub pull: Pull,
}

/// What a mirror is for (`pull-from-mirror`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pull {
    /// Everything.
    #[default]
    All,
    /// Images by digest.
    DigestOnly,
    /// Images by tag.
    TagOnly,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    registry: Vec<Registry>,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Mirror {
    location: String,
    insecure: bool,
    pull_from_mirror: Option<Pull>,
}

/// Longest settings file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Where to look for a repository, in order: its mirrors, then the place itself.
///
/// # Errors
/// When a settings file cannot be understood, or forbids the registry.
pub(super) fn locations(reference: &Reference) -> Result<Vec<Location>, Error> {
    let read: Vec<Vec<Registry>> = files().iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    choose(&by_prefix(read), reference)
}

/// The entries of all files, each under its prefix; a later one takes the place of an earlier one.
fn by_prefix(files: impl IntoIterator<Item = Vec<Registry>>) -> BTreeMap<String, Registry> {
    let mut registries = BTreeMap::new();
    for file in files {
        for registry in file {
            let prefix = registry.prefix.clone().or_else(|| registry.location.clone());
            let prefix = prefix.unwrap_or_default();
            if !plain(&prefix).is_empty() {
                registries.insert(plain(&prefix).to_owned(), registry);
            }
        }
    }
    registries
}

fn choose(registries: &BTreeMap<String, Registry>, reference: &Reference) -> Result<Vec<Location>, Error> {
    let name = reference.name();
    let fitting =
        registries.iter().filter_map(|(prefix, registry)| Some((matched(prefix, reference, &name)?, prefix, registry)));
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
    // An entry for one image may repeat its tag or digest behind its locations.
    let one = prefix.strip_prefix(&*name).unwrap_or_default();
    let parse = |location: &str| parse(location.strip_suffix(one).unwrap_or(location), rest);
    let mut places = Vec::new();
    for mirror in &registry.mirror {
        let pull = match registry.mirror_by_digest_only {
            true => Pull::DigestOnly,
            false => mirror.pull_from_mirror.unwrap_or_default(),
        };
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

/// What follows `prefix` in `name`, if it fits: at a border of the path, by `*.domain`, or with the reference's tag or
/// digest behind the whole name.
fn matched<'a>(prefix: &str, reference: &Reference, name: &'a str) -> Option<&'a str> {
    if let Some(domain) = prefix.strip_prefix("*.") {
        let host = name.split('/').next()?;
        let fits = host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.') && sub.len() > 1);
        return fits.then(|| &name[host.len()..]);
    }
    match prefix.strip_prefix(name) {
        Some(one) if !one.is_empty() => {
            let tag = reference.tag.as_ref().map(|tag| format!(":{tag}"));
            let digest = reference.digest.as_ref().map(|digest| format!("@{digest}"));
            [tag, digest].iter().flatten().any(|own| own == one).then_some("")
        }
        _ => name.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

/// A prefix or location without the slash that some write at its end.
fn plain(name: &str) -> &str {
    name.trim_end_matches('/')
}

fn parse(location: &str, rest: &str) -> Result<(String, String), Error> {
    let text = format!("{}{rest}", plain(location));
    let bad = || Error::Forbidden(format!("registries.conf: {location:?} is no location for the image"));
    let (host, repository) = text.split_once('/').ok_or_else(bad)?;
    // A host of one word is a host here, though not in an image's name.
    let probe: Reference = format!("{host}/{repository}").parse().map_err(|_| bad())?;
    if probe.digest.is_some() || probe.tag.as_deref() != Some("latest") || repository.ends_with(":latest") {
        return Err(bad());
    }
    match probe.registry == host || host == "index.docker.io" || host == "registry-1.docker.io" {
        true => Ok((probe.registry, probe.repository)),
        false => Ok((host.to_owned(), repository.to_owned())),
    }
}

/// The settings files that there are, in the order in which later ones replace earlier ones.
fn files() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let user = config.map(|dir| dir.join("containers"));
    let system = Path::new("/etc/containers");
    let main = set("CONTAINERS_REGISTRIES_CONF").unwrap_or_else(|| {
        let own = user.as_ref().map(|dir| dir.join("registries.conf")).filter(|path| path.is_file());
        own.unwrap_or_else(|| system.join("registries.conf"))
    });
    let mut files = vec![main];
    for dir in [Some(system.to_path_buf()), user].into_iter().flatten() {
        let Ok(entries) = fs::read_dir(dir.join("registries.conf.d")) else { continue };
        let mut more: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        more.retain(|path| path.extension().is_some_and(|e| e == "conf"));
        more.sort();
        files.extend(more);
    }
    files
}

fn read(path: &Path) -> Result<Vec<Registry>, Error> {
    use std::io::Read;
    let Ok(file) = fs::File::open(path) else { return Ok(Vec::new()) };
    let bad = |what: String| Error::File { path: path.into(), what };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|e| bad(e.to_string()))?;
    let file: File = toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?;
    Ok(file.registry)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn places(conf: &str, name: &str) -> Result<Vec<String>, String> {
        let file: File = toml::from_str(conf).unwrap();
        let found = choose(&by_prefix([file.registry]), &name.parse().unwrap()).map_err(|e| e.to_string())?;
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
}
