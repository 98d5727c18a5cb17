//! Leaves names out of the result.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};

use crate::tree::file_name;

/// A pattern for names to leave out, with everything below them.
///
/// Without a `/` it matches a name anywhere in the tree; with one, a path from the root. `*` and `?` do not match `/`, `**`
/// does; `[ ]` and `{ , }` are sets and alternatives. A trailing `/` restricts it to directories.
#[derive(Clone, Debug)]
pub struct Exclude {
    glob: GlobMatcher,
    whole_path: bool,
    directories_only: bool,
}

/// The pattern is malformed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl std::str::FromStr for Exclude {
    type Err = PatternError;

    fn from_str(pattern: &str) -> Result<Self, PatternError> {
        let directories_only = pattern.ends_with('/');
        let core = pattern.trim_end_matches('/');
        let whole_path = core.contains('/');
        let core = core.trim_start_matches("./").trim_start_matches('/');
        if core.is_empty() {
            return Err(PatternError(format!("{pattern:?} would leave out everything")));
        }
        let glob = GlobBuilder::new(core).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| PatternError(error.to_string()))?.compile_matcher();
        Ok(Self { glob, whole_path, directories_only })
    }
}

impl Exclude {
    /// Whether to leave out `path` (normalised).
    #[must_use]
    pub fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directories_only && !is_directory {
            return false;
        }
        let text = if self.whole_path { path } else { file_name(path) };
        self.glob.is_match(OsStr::from_bytes(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn matches(pattern: &str, path: &[u8], is_directory: bool) -> bool {
        pattern.parse::<Exclude>().unwrap().matches(path, is_directory)
    }

    #[test]
    fn names_anywhere_and_paths_from_the_root() {
        assert!(matches("*.pyc", b"usr/lib/a.pyc", false));
        assert!(matches("doc", b"usr/share/doc", true));
        assert!(matches("/usr/share/doc", b"usr/share/doc", true));
        assert!(matches("./usr/*/doc", b"usr/share/doc", true));
        assert!(!matches("usr/*", b"usr/share/doc", true));
        assert!(matches("usr/**", b"usr/share/doc", true));
        assert!(!matches("/doc", b"usr/share/doc", true));
        assert!(matches("/doc", b"doc", true));
        assert!(matches("cache/", b"var/cache", true));
        assert!(!matches("cache/", b"var/cache", false));
        assert!(matches("*.{o,a}", b"x\xff.o", false));
        assert!("/".parse::<Exclude>().is_err());
        assert!("a[".parse::<Exclude>().is_err());
    }
}
