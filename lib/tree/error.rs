use super::path::{MAX_SYMLINKS, MAX_TARGET, PathError};
use crate::meta::Shown;

/// Why an entry could not be added to the tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The entry's own name is refused.
    #[error("{}: {why}", Shown(.name))]
    Name {
        /// The name as given.
        name: Box<[u8]>,
        /// What is wrong with it.
        why: PathError,
    },
    /// The name of a hard link's target is refused.
    #[error("{}: hard link to {}: {why}", Shown(.link), Shown(.target))]
    Target {
        /// The link's name.
        link: Box<[u8]>,
        /// The target as given.
        target: Box<[u8]>,
        /// What is wrong with it.
        why: PathError,
    },
    /// The root is not a directory.
    #[error("{}: the root must be a directory", Shown(.0))]
    Root(Box<[u8]>),
    /// A symbolic link that no file system can hold.
    #[error("{}: its symlink target {why}", Shown(.name))]
    Symlink {
        /// The link's name.
        name: Box<[u8]>,
        /// What is wrong with the target.
        why: PathError,
    },
    /// Symbolic links on the way form a loop (F7).
    #[error("{}: more than {MAX_SYMLINKS} symlinks on the way to it, or one with a target of more than {MAX_TARGET} bytes", Shown(.0))]
    Loop(Box<[u8]>),
    /// A hard link to a directory (F8).
    #[error("{}: hard link to {}, which is a directory", Shown(.link), Shown(.target))]
    LinkToDirectory {
        /// The link's name.
        link: Box<[u8]>,
        /// The target's name.
        target: Box<[u8]>,
    },
    /// A hard link to nothing (F8).
    #[error("{}: hard link to {}, which does not exist", Shown(.link), Shown(.target))]
    LinkToNothing {
        /// The link's name.
        link: Box<[u8]>,
        /// The target's name.
        target: Box<[u8]>,
    },
    /// More than 2^32 - 2 names or inodes.
    #[error("{}: more entries than can be numbered", Shown(.0))]
    TooMany(Box<[u8]>),
    /// Names imply far more directories than there are entries.
    #[error("{}: too many missing parent directories, more than eight for each entry", Shown(.0))]
    TooManyImplied(Box<[u8]>),
    /// The paths of missing parents and through symlinks are far longer than the names in the layers.
    #[error("{}: the paths of missing parents and behind symlinks are too long, more than 8 KiB for each entry", Shown(.0))]
    TooLongPaths(Box<[u8]>),
    /// Symlinks lead through far more directories than the names have, or have very long targets.
    #[error("{}: the ways through symlinks are too long, more than 64 directories or 2 KiB of targets for each entry", Shown(.0))]
    TooManySteps(Box<[u8]>),
}
