use super::{Metadata, NodeKind, Xattrs};

/// What a name in an archive, a layer or a directory refers to. `C` is the content of files, `T` the type of link targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<C, T = Box<[u8]>> {
    /// A new inode.
    Node(NodeKind<C, T>),
    /// Another name for the inode with this name, as stored, not normalised.
    HardLink(T),
}

impl<C, T> Entry<C, T> {
    /// The same entry with other content.
    pub fn map<D>(self, content: impl FnOnce(C) -> D) -> Entry<D, T> {
        match self {
            Self::Node(kind) => Entry::Node(kind.map(content)),
            Self::HardLink(target) => Entry::HardLink(target),
        }
    }

    /// Like [`Entry::map`], for a fallible function.
    ///
    /// # Errors
    /// Those of `content`.
    pub fn try_map<D, E>(self, content: impl FnOnce(C) -> Result<D, E>) -> Result<Entry<D, T>, E> {
        match self {
            Self::Node(kind) => kind.try_map(content).map(Entry::Node),
            Self::HardLink(target) => Ok(Entry::HardLink(target)),
        }
    }

    /// The content of a file.
    pub fn content(&self) -> Option<&C> {
        match self {
            Self::Node(NodeKind::File(content)) => Some(content),
            _ => None,
        }
    }
}

impl<C, T: AsRef<[u8]>> Entry<C, T> {
    /// The same entry, borrowed.
    pub fn as_deref(&self) -> Entry<&C, &[u8]> {
        match self {
            Self::Node(kind) => Entry::Node(kind.as_deref()),
            Self::HardLink(target) => Entry::HardLink(target.as_ref()),
        }
    }
}

/// An entry with its name and its attributes.
#[derive(Clone, Debug)]
pub struct Named<'a, C, T = Box<[u8]>> {
    /// Its name.
    pub path: &'a [u8],
    /// What it is.
    pub entry: Entry<C, T>,
    /// Its attributes; those of a hard link are ignored (F8).
    pub meta: Metadata,
    /// Its extended attributes, likewise.
    pub xattrs: Xattrs,
}
