//! `registries.conf`: containers-registries.conf(5), version 2, and the blocked and insecure registries of version 1.
//!
//! Anything that cannot be read or understood is an error, because it might block a registry.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{Error, environment, hide_password};
use crate::sys::{Pipes, read_small_file, uninterrupted};

/// What may be pulled from a mirror (`pull-from-mirror`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pull {
    /// Everything.
    #[default]
    All,
    /// Only images by digest.
    DigestOnly,
    /// Only images by tag.
    TagOnly,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    registry: Vec<Registry>,
    /// Version 1.
    registries: Version1,
    unqualified_search_registries: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Version1 {
    search: Hosts,
    insecure: Hosts,
    block: Hosts,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Hosts {
    registries: Vec<String>,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Registry {
    pub(super) prefix: Option<String>,
    pub(super) location: Option<String>,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    pub(super) mirror: Vec<Mirror>,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull_from_mirror: Option<Pull>,
}

/// The limit on the size of a settings file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The entries of all files; later ones replace earlier ones. A pipe in place of the first may take as long as `patience`.
///
/// # Errors
/// When a file cannot be read or parsed.
pub(super) fn entries(patience: Duration) -> Result<Vec<Registry>, Error> {
    let read: Vec<Vec<Registry>> = files(patience)?.iter().map(read).collect::<Result<_, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

/// Parses the entries of a file.
///
/// # Errors
/// Why it cannot be parsed.
pub(super) fn parse(text: &str) -> Result<Vec<Registry>, String> {
    let told = |e: toml::de::Error| e.message().to_owned();
    let table: toml::Table = toml::from_str(text).map_err(told)?;
    in_small_letters(table).try_into::<File>().map_err(told)?.entries()
}

/// Converts all keys to lower case: Podman's parser ignores case, and `Blocked` must not be without effect. Of two
/// spellings, the lower-case one counts.
fn in_small_letters(table: toml::Table) -> toml::Table {
    let mut small = toml::Table::new();
    for (key, value) in table {
        let lower = key.to_ascii_lowercase();
        if lower == key || !small.contains_key(&lower) {
            small.insert(lower, values_in_small_letters(value));
        }
    }
    small
}

fn values_in_small_letters(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Table(table) => toml::Value::Table(in_small_letters(table)),
        toml::Value::Array(values) => values.into_iter().map(values_in_small_letters).collect::<Vec<_>>().into(),
        other => other,
    }
}

impl File {
    /// The entries, from either version of the format.
    fn entries(self) -> Result<Vec<Registry>, String> {
        let Version1 { search, insecure, block } = self.registries;
        let is_version1 = [&search, &insecure, &block].iter().any(|hosts| !hosts.registries.is_empty());
        if is_version1 && !(self.registry.is_empty() && self.unqualified_search_registries.is_empty()) {
            return Err("mixes versions 1 and 2 of the format".into());
        }
        let mut entries = self.registry;
        for host in insecure.registries.iter().chain(&block.registries) {
            let is_in = |hosts: &Hosts| hosts.registries.contains(host);
            let (insecure, blocked) = (is_in(&insecure), is_in(&block));
            entries.push(Registry { location: Some(host.clone()), insecure, blocked, ..Registry::default() });
        }
        for entry in &entries {
            let mirrors = entry.mirror.iter().map(|mirror| &mirror.location);
            entry.prefix.iter().chain(&entry.location).chain(mirrors).for_each(|name| hide_password(name));
            entry.check()?;
        }
        // The later of two entries counts, so it would lift the block of an earlier one.
        let mut blocks = HashMap::new();
        for entry in &entries {
            if *blocks.entry(entry.name()).or_insert(entry.blocked) != entry.blocked {
                return Err(format!("{:?} is blocked by one entry and not by another", entry.name()));
            }
        }
        Ok(entries)
    }
}

impl Registry {
    /// The name prefix of the images that it applies to.
    pub(super) fn name(&self) -> &str {
        let filled = |name: &'_ Option<String>| name.as_deref().map(plain).filter(|name| !name.is_empty()).is_some();
        let name = if filled(&self.prefix) { &self.prefix } else { &self.location };
        name.as_deref().map(plain).unwrap_or_default()
    }

    /// Refuses an entry that matches no image: it would silently block nothing.
    fn check(&self) -> Result<(), String> {
        let name = self.name();
        if name.is_empty() {
            return Err("an entry has neither a prefix nor a location".into());
        }
        if name.contains("://") || name.strip_prefix("*.").unwrap_or(name).contains('*') {
            return Err(format!("{name:?} is no name that images begin with"));
        }
        Ok(())
    }
}

/// A prefix or location without a trailing slash.
pub(super) fn plain(name: &str) -> &str {
    name.trim_end_matches('/')
}

/// A settings file, whether it must be there, and whether it may be a pipe.
type Settings = (PathBuf, bool, Pipes);

/// The settings files; later ones replace earlier ones.
///
/// # Errors
/// When a directory of them cannot be read: a file in it might block the registry.
fn files(patience: Duration) -> Result<Vec<Settings>, Error> {
    let user = environment::config_home().map(|dir| dir.join("containers"));
    let system = Path::new("/etc/containers");
    let main = match environment::path("CONTAINERS_REGISTRIES_CONF") {
        Some(named) => (named, true, Pipes::Awaited(patience)),
        None => {
            let own =
                user.as_ref().map(|dir| dir.join("registries.conf")).filter(|path| !is_absent(fs::metadata(path)));
            (own.unwrap_or_else(|| system.join("registries.conf")), false, Pipes::Awaited(patience))
        }
    };
    let mut files = vec![main];
    for dir in [Some(system.to_path_buf()), user].into_iter().flatten() {
        let dir = dir.join("registries.conf.d");
        let bad = |e: io::Error| Error::File { path: dir.clone(), what: e.to_string() };
        let entries = match uninterrupted(|| fs::read_dir(&dir)) {
            Err(e) if is_absent(Err::<(), _>(io::Error::from(e.kind()))) => continue,
            other => other.map_err(bad)?,
        };
        let mut more: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(bad)?;
        more.retain(|path| path.extension().is_some_and(|e| e == "conf"));
        more.sort();
        files.extend(more.into_iter().map(|path| (path, false, Pipes::Refused)));
    }
    Ok(files)
}

/// Whether something does not exist; if it cannot be examined, it may.
fn is_absent<T>(found: io::Result<T>) -> bool {
    found.is_err_and(|e| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

fn read((path, is_needed, pipes): &Settings) -> Result<Vec<Registry>, Error> {
    let bad = |what: String| Error::File { path: path.clone(), what };
    let bytes = match read_small_file(path, MAX_FILE, *pipes) {
        Err(error) if !is_needed && error.is_absent() => return Ok(Vec::new()),
        other => other.map_err(|error| bad(error.to_string()))?,
    };
    let text = String::from_utf8(bytes).map_err(|_| bad("is no UTF-8".into()))?;
    parse(&text).map_err(bad)
}
