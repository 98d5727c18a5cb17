//! The user's name for the image: the kind of source, and where it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Error, foreign};
use crate::image::Reference;
use crate::registry::hide_password;
use crate::sys::{Pipes, read_small_file};

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locator {
    /// A repository in a registry.
    Registry(Reference),
    /// A directory that is an OCI image layout.
    Layout {
        /// The layout.
        dir: PathBuf,
        /// The tag or digest in it.
        name: Option<String>,
    },
    /// A tar of an OCI image layout or of `docker save`.
    Archive {
        /// The form it must have.
        kind: ArchiveKind,
        /// The file; `-` is standard input.
        file: PathBuf,
        /// The tag or digest in it.
        name: Option<String>,
    },
    /// A layer directory of Docker's or Podman's overlay driver.
    Overlay2 {
        /// The directory that holds `diff` and `lower`.
        dir: PathBuf,
    },
}

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveKind {
    /// A tar of an OCI image layout.
    Oci,
    /// The output of `docker save`, old or new.
    Docker,
    /// Either; its content decides.
    Any,
}

impl Locator {
    /// Whether the image comes from standard input.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        matches!(self, Self::Archive { file, .. } if file == Path::new("-"))
    }

    /// Whether the image's blobs go through the blob store; those of a layout and of overlay2 are used in place.
    #[must_use]
    pub fn needs_store(&self) -> bool {
        matches!(self, Self::Registry(_) | Self::Archive { .. })
    }

    /// Parses an IMAGE argument. A path (it starts with `/`, `./` or `../`, or is `-`) is recognised by its content;
    /// anything else without a known prefix is in a registry.
    ///
    /// # Errors
    /// When a name is not valid, or there is no image at a path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains("://") {
            hide_password(text);
        }
        let kinds = [("oci-archive:", ArchiveKind::Oci), ("docker-archive:", ArchiveKind::Docker)];
        for (prefix, kind) in kinds {
            if let Some(rest) = text.strip_prefix(prefix) {
                let (file, name) = split(rest, Path::exists);
                return Ok(Self::Archive { kind, file: required(file)?, name });
            }
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (dir, name) = split(rest, Path::is_dir);
            // The prefix that Helm uses for registries.
            let named = rest.strip_prefix("//").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
            if let Some(name) = named.filter(|_| !dir.is_dir()) {
                let instead = format!("oci-fetch {name}");
                return Err(Error::Transport { text: text.to_owned(), prefix: "oci://", instead });
            }
            return Ok(Self::Layout { dir: required(dir)?, name });
        }
        if let Some(rest) = text.strip_prefix("overlay2:") {
            return Ok(Self::Overlay2 { dir: required(rest.into())? });
        }
        if text == "-" || [".", ".."].contains(&text) || ["/", "./", "../"].iter().any(|p| text.starts_with(p)) {
            return Self::detect(text);
        }
        hide_password(text);
        foreign::refuse(text)?;
        Ok(Self::Registry(text.parse()?))
    }

    fn detect(text: &str) -> Result<Self, Error> {
        let (path, name) = split(text, Path::exists);
        let is_directory = match path.metadata() {
            Ok(meta) => meta.is_dir(),
            Err(_) if path == Path::new("-") => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Path { path, what: "no such file or directory".into() });
            }
            Err(error) => return Err(Error::Path { path, what: error.to_string() }),
        };
        if !is_directory {
            return Ok(Self::Archive { kind: ArchiveKind::Any, file: path, name });
        }
        if path.join("oci-layout").is_file() || path.join("index.json").is_file() {
            return Ok(Self::Layout { dir: path, name });
        }
        if path.join("diff").is_dir() && name.is_none() {
            return Ok(Self::Overlay2 { dir: path });
        }
        if is_skopeo_directory(&path) {
            foreign::refuse(&format!("dir:{}", path.display()))?;
        }
        let what = "neither an OCI image layout (oci-layout, index.json) nor an overlay2 layer (diff, lower)";
        Err(Error::Path { path, what: what.into() })
    }
}

/// Whether this is the result of `skopeo copy ... dir:PATH`, judging by its `version` file.
fn is_skopeo_directory(path: &Path) -> bool {
    const SAYS: &[u8] = b"Directory Transport Version: ";
    const LONGEST: u64 = 1024;
    let version = read_small_file(&path.join("version"), LONGEST, Pipes::Refused);
    version.is_ok_and(|version| version.starts_with(SAYS)) && path.join("manifest.json").is_file()
}

/// Splits `PATH[:NAME]` and `PATH@DIGEST`. Since both paths and names may contain colons, the longest prefix that exists is
/// the path; if there is none, the path ends at the first colon.
fn split(text: &str, exists: impl Fn(&Path) -> bool) -> (PathBuf, Option<String>) {
    if exists(Path::new(text)) {
        return (text.into(), None);
    }
    let ends: Vec<usize> = text.match_indices([':', '@']).map(|(at, _)| at).collect();
    let existing = ends.iter().rev().find(|at| exists(Path::new(&text[..**at])));
    let first = text.find(':').or(text.find("@sha"));
    match existing.copied().or(first) {
        Some(at) => (text[..at].into(), Some(text[at + 1..].to_owned()).filter(|name| !name.is_empty())),
        None => (text.into(), None),
    }
}

fn required(path: PathBuf) -> Result<PathBuf, Error> {
    if path.as_os_str().is_empty() {
        Err(Error::Path { path, what: "a path is missing after the colon".into() })
    } else {
        Ok(path)
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, path, name) = match self {
            Self::Registry(reference) => return reference.fmt(f),
            Self::Layout { dir, name } => ("oci", dir, name.as_deref()),
            Self::Archive { kind: ArchiveKind::Oci, file, name } => ("oci-archive", file, name.as_deref()),
            Self::Archive { kind: ArchiveKind::Docker, file, name } => ("docker-archive", file, name.as_deref()),
            Self::Archive { kind: ArchiveKind::Any, file, name } => ("archive", file, name.as_deref()),
            Self::Overlay2 { dir } => ("overlay2", dir, None),
        };
        write!(f, "{prefix}:{}", path.display())?;
        name.iter().try_for_each(|name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn prefixes_paths_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("a:b");
        std::fs::create_dir_all(layout.join("blobs")).unwrap();
        std::fs::write(layout.join("index.json"), "{}").unwrap();
        std::fs::write(dir.path().join("x.tar"), "").unwrap();
        std::fs::create_dir_all(dir.path().join("o/diff")).unwrap();
        let at = |rest: &str| format!("{}/{rest}", dir.path().display());
        let name = |n: &str| Some(n.to_owned());
        let parse = |text: &str| Locator::parse(text).unwrap();
        assert_eq!(parse(&format!("oci:{}", at("a:b"))), Locator::Layout { dir: layout.clone(), name: None });
        let tagged = Locator::Layout { dir: layout.clone(), name: name("x.y/z:1") };
        assert_eq!(parse(&format!("oci:{}", at("a:b:x.y/z:1"))), tagged);
        assert_eq!(parse(&at("a:b:x.y/z:1")), tagged);
        let missing = Locator::Layout { dir: "no".into(), name: name("such:tag") };
        assert_eq!(parse("oci:no:such:tag"), missing);
        let archive = |kind, name| Locator::Archive { kind, file: at("x.tar").into(), name };
        assert_eq!(parse(&at("x.tar")), archive(ArchiveKind::Any, None));
        assert_eq!(parse(&format!("docker-archive:{}", at("x.tar:n:1"))), archive(ArchiveKind::Docker, name("n:1")));
        assert_eq!(parse(&at("o")), Locator::Overlay2 { dir: at("o").into() });
        assert!(matches!(parse("nginx"), Locator::Registry(_)));
        let doubled = format!("oci:/{}", at("a:b:x.y/z:1"));
        assert!(matches!(parse(&doubled), Locator::Layout { name: Some(_), .. }), "{doubled}");
        let error = Locator::parse("oci://registry.test/app:1").unwrap_err();
        assert!(
            matches!(&error, Error::Transport { instead, .. } if instead == "oci-fetch registry.test/app:1"),
            "{error}"
        );
        std::fs::create_dir(dir.path().join("skopeo")).unwrap();
        std::fs::write(dir.path().join("skopeo/version"), "Directory Transport Version: 1.1\n").unwrap();
        std::fs::write(dir.path().join("skopeo/manifest.json"), "{}").unwrap();
        let error = Locator::parse(&at("skopeo")).unwrap_err();
        assert!(matches!(&error, Error::Transport { prefix: "dir:", .. }), "{error}");
        for bad in ["oci:", "/no/such/path", "./none", &at(""), "Foo", ""] {
            assert!(Locator::parse(bad).is_err(), "{bad}");
        }
    }
}
