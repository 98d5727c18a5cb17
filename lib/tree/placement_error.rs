use super::error::Error;
use super::path::PathError;

/// Why an entry has no place in the tree, where its name is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlacementError {
    /// Too many symlinks are on the way, or one that is too long to follow.
    Loop,
    /// No numbers are left for names or inodes.
    TooMany,
    /// The allowance for missing parents is used up.
    TooManyImplied,
    /// The allowance for paths that are not in the layer is used up.
    TooLongPaths,
    /// The allowance for ways through symlinks is used up.
    TooManySteps,
    /// A missing directory would have the name of a whiteout.
    ThroughWhiteout,
    /// Its path, with all symlinks resolved, is too long.
    TooLong,
}

impl PlacementError {
    /// The error for entry `name`.
    pub(super) fn at(self, name: &[u8]) -> Error {
        let name = name.into();
        match self {
            Self::Loop => Error::Loop(name),
            Self::TooMany => Error::TooMany(name),
            Self::TooManyImplied => Error::TooManyImplied(name),
            Self::TooLongPaths => Error::TooLongPaths(name),
            Self::TooManySteps => Error::TooManySteps(name),
            Self::ThroughWhiteout => Error::Name { name, why: PathError::ThroughWhiteout },
            Self::TooLong => Error::Name { name, why: PathError::TooLong },
        }
    }
}
