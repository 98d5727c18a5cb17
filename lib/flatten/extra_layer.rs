//! Layers that a person stacks on top of an image (F16).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::tree::{self, PathError};

/// A layer from the command line: a tar of any compression, or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraLayer {
    /// Where it is.
    pub source: ExtraSource,
    /// The directory to put it below, without leading or trailing slashes; empty for the root.
    pub prefix: Box<[u8]>,
}

/// Where an extra layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtraSource {
    /// A file or directory on this machine.
    Path(PathBuf),
    /// A tar on standard input.
    StandardInput,
}

/// Why a text does not name an extra layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtraLayerError {
    /// There is nothing before the prefix.
    #[error("no path before the prefix")]
    NoPath,
    /// The prefix is not a valid path.
    #[error("the prefix {0}")]
    Prefix(PathError),
}

impl From<PathBuf> for ExtraLayer {
    fn from(path: PathBuf) -> Self {
        Self { source: ExtraSource::Path(path), prefix: Box::default() }
    }
}

impl ExtraLayer {
    /// Parses `PATH` or `PATH:/PREFIX`, with `-` allowed as the path. If the whole text is an existing path, it is that
    /// path.
    ///
    /// # Errors
    /// When either part is invalid.
    pub fn parse(text: &OsStr) -> Result<Self, ExtraLayerError> {
        let bytes = text.as_bytes();
        let colon = bytes.windows(2).rposition(|pair| pair == b":/").filter(|_| !Path::new(text).exists());
        let (path, prefix) = colon.map_or((bytes, &b"/"[..]), |at| (&bytes[..at], &bytes[at + 1..]));
        if path.is_empty() {
            return Err(ExtraLayerError::NoPath);
        }
        let mut buffer = Vec::new();
        let prefix = tree::normalise(prefix, &mut buffer).map_err(ExtraLayerError::Prefix)?.into();
        let source = match path {
            b"-" => ExtraSource::StandardInput,
            path => ExtraSource::Path(OsString::from_vec(path.to_vec()).into()),
        };
        Ok(Self { source, prefix })
    }

    /// Its name in messages.
    pub(super) fn label(&self) -> String {
        match &self.source {
            ExtraSource::Path(path) => format!("layer {}", path.display()),
            ExtraSource::StandardInput => "layer on standard input".to_owned(),
        }
    }
}

/// A member's `path`, put below `prefix`; an empty path stays empty and is refused later.
pub(super) fn below(prefix: &[u8], path: Vec<u8>) -> Vec<u8> {
    if prefix.is_empty() || path.is_empty() { path } else { [prefix, b"/", &path].concat() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn a_path_may_have_a_prefix() {
        let parse = |text: &str| ExtraLayer::parse(OsStr::new(text)).map(|layer| (layer.source, layer.prefix.to_vec()));
        let path = |path: &str, prefix: &[u8]| Ok((ExtraSource::Path(path.into()), prefix.to_vec()));
        assert_eq!(parse("a/b.tar"), path("a/b.tar", b""));
        assert_eq!(parse("a:/opt//app/"), path("a", b"opt/app"));
        assert_eq!(parse("a:/x:/y"), path("a:/x", b"y"));
        assert_eq!(parse("a:/"), path("a", b""));
        assert_eq!(parse("a:b"), path("a:b", b""));
        assert_eq!(parse("-"), Ok((ExtraSource::StandardInput, vec![])));
        assert_eq!(parse("-:/opt"), Ok((ExtraSource::StandardInput, b"opt".to_vec())));
        assert_eq!(parse(":/opt"), Err(ExtraLayerError::NoPath));
        assert_eq!(parse("a:/x/../y"), Err(ExtraLayerError::Prefix(PathError::DotDot)));
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("odd:");
        std::fs::create_dir_all(odd.join("dir")).unwrap();
        let whole = format!("{}/dir", odd.display());
        assert_eq!(parse(&whole), path(&whole, b""));
    }

    #[test]
    fn names_go_below_the_prefix() {
        assert_eq!(below(b"opt", b"./a".to_vec()), b"opt/./a");
        assert_eq!(below(b"", b"/a".to_vec()), b"/a");
        assert_eq!(below(b"opt", Vec::new()), b"");
    }
}
