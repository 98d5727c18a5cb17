use super::cursor::{MAX_SYMLINKS, MAX_TARGET};

/// Why an entry could not join the tree. Names are shown as they are: who prints them escapes them (S4).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The entry's own name is refused.
    #[error("{}: {why}", show(.name))]
    Name {
        /// The name as it came.
        name: Box<[u8]>,
        /// What is wrong with it.
        why: PathError,
    },
    /// The name of a hard link's target is refused.
    #[error("{}: hard link to {}: {why}", show(.link), show(.target))]
    Target {
        /// The link's name.
        link: Box<[u8]>,
        /// The target as it came.
        target: Box<[u8]>,
        /// What is wrong with it.
        why: PathError,
    },
    /// The root is something else than a directory.
    #[error("{}: the root must be a directory", show(.0))]
    Root(Box<[u8]>),
    /// A symbolic link that no file system can hold.
    #[error("{}: its symlink target {why}", show(.name))]
    Symlink {
        /// The link's name.
        name: Box<[u8]>,
        /// What is wrong with the target.
        why: PathError,
    },
    /// Symbolic links on the way lead in circles (F7).
    #[error("{}: more than {MAX_SYMLINKS} symlinks on the way to it, or one with a target of more than {MAX_TARGET} bytes", show(.0))]
    Loop(Box<[u8]>),
    /// A hard link to a directory (F8).
    #[error("{}: hard link to {}, which is a directory", show(.link), show(.target))]
    LinkToDirectory {
        /// The link's name.
        link: Box<[u8]>,
        /// The target's name.
        target: Box<[u8]>,
    },
    /// A hard link to nothing (F8).
    #[error("{}: hard link to {}, which does not exist", show(.link), show(.target))]
    LinkToNothing {
        /// The link's name.
        link: Box<[u8]>,
        /// The target's name.
        target: Box<[u8]>,
    },
    /// More than 2^32 - 2 names or inodes.
    #[error("{}: more entries than can be numbered", show(.0))]
    TooMany(Box<[u8]>),
    /// Names imply far more directories than there are entries.
    #[error("{}: too many missing parent directories, more than eight for each entry", shorten(.0))]
    TooManyImplied(Box<[u8]>),
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing is no name.
    #[error("is empty")]
    Empty,
    /// It could leave the root.
    #[error("has a '..' component")]
    DotDot,
    /// No file system can hold it.
    #[error("holds a NUL byte")]
    Nul,
    /// `.wh.`, `.wh..` or `.wh...`: it would hide nothing, its own directory or the one above.
    #[error("is a corrupt whiteout")]
    CorruptWhiteout,
    /// A whiteout is no directory.
    #[error("lies below a whiteout")]
    BelowWhiteout,
    /// A symlink leads to a directory that would have to be made and have the name of a whiteout.
    #[error("leads through a symlink to a name that starts with '.wh.'")]
    ThroughWhiteout,
}

/// The beginning of a name that is too long to be shown.
fn shorten(name: &[u8]) -> String {
    const SHOWN: usize = 100;
    name.get(..SHOWN).map_or_else(|| show(name), |start| format!("{}...", show(start)))
}

/// Bytes as text, those that are no UTF-8 as `\xff`.
pub(crate) fn show(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}
