//! What the environment says about the user's files.

use std::path::PathBuf;

/// The path in the environment variable `name`; an empty one counts as unset.
pub(super) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The path below the user's home directory.
pub(super) fn under_home(path_below: &str) -> Option<PathBuf> {
    path("HOME").map(|home| home.join(path_below))
}

/// The directory of the user's settings.
pub(super) fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| under_home(".config"))
}
