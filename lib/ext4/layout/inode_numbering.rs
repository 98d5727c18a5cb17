//! Link counts, parents and inode numbers of the whole tree.

use crate::ext4::error::Error;
use crate::ext4::limits::{InodeError, MAX_LINKS};
use crate::ext4::number::{InodeNumber, exact};
use crate::ext4::tree::FileTree;
use crate::meta::NodeKind;

/// The name of the directory that `e2fsck` needs.
pub(crate) const LOST_FOUND: &[u8] = b"lost+found";

const NONE: u32 = u32::MAX;

/// What one walk over all directories finds out.
#[derive(Debug)]
pub(crate) struct InodeNumbering {
    root: u32,
    /// The directory of that name in the root, if there is one.
    lost_found: Option<u32>,
    /// The number of names of each inode; for a directory, the number of its subdirectories.
    counts: Vec<u32>,
    /// The parent of each directory.
    parents: Vec<u32>,
    /// The number of data blocks of all files.
    pub(crate) data_blocks: u64,
}

impl InodeNumbering {
    /// Reads the whole tree once, and checks it against the limits of ext4 and the contract of [`FileTree`].
    pub(crate) fn new(tree: &impl FileTree) -> Result<Self, Error> {
        let inodes = tree.inodes();
        let root = tree.root();
        // 12 numbers are not available for the tree: 0, the reserved ones and lost+found.
        if inodes > u32::MAX - 12 {
            return Err(Error::NoInodes { inodes: u32::MAX.into(), needed: u64::from(inodes) + 12 });
        }
        if root >= inodes || !matches!(tree.inode(root).kind, NodeKind::Directory) {
            return Err(Error::Tree { id: root, reason: "the root is no directory" });
        }
        let mut numbering = Self {
            root,
            lost_found: None,
            counts: vec![0; inodes as usize],
            parents: vec![NONE; inodes as usize],
            data_blocks: 0,
        };
        numbering.parents[root as usize] = root;
        for id in 0..inodes {
            match tree.inode(id).kind {
                NodeKind::Directory => numbering.directory(tree, id)?,
                NodeKind::File(data) => numbering.data_blocks += data.blocks(),
                _ => {}
            }
        }
        numbering.check(tree)?;
        Ok(numbering)
    }

    fn directory(&mut self, tree: &impl FileTree, id: u32) -> Result<(), Error> {
        for (name, child) in tree.children(id) {
            if child >= tree.inodes() || child == self.root {
                return Err(Error::Tree { id: child, reason: "names must lead to inodes below the root" });
            }
            let directory = matches!(tree.inode(child).kind, NodeKind::Directory);
            if directory {
                if self.parents[child as usize] != NONE {
                    return Err(Error::Tree { id: child, reason: "the directory has two names" });
                }
                self.parents[child as usize] = id;
                self.counts[id as usize] += 1;
            } else {
                self.counts[child as usize] += 1;
            }
            if id == self.root && name == LOST_FOUND {
                if !directory {
                    return Err(Error::Inode { path: name.to_vec(), source: InodeError::LostFound });
                }
                self.lost_found = Some(child);
            }
        }
        Ok(())
    }

    fn check(&self, tree: &impl FileTree) -> Result<(), Error> {
        for id in 0..tree.inodes() {
            let at = id as usize;
            if matches!(tree.inode(id).kind, NodeKind::Directory) {
                if self.parents[at] == NONE {
                    return Err(Error::Tree { id, reason: "the directory has no name" });
                }
            } else if self.counts[at] == 0 {
                return Err(Error::Tree { id, reason: "the inode has no name" });
            } else if self.counts[at] > MAX_LINKS {
                return Err(self.refuse(tree, id, InodeError::Links(self.counts[at])));
            }
        }
        Ok(())
    }

    /// The tree's own `lost+found`, if it has one.
    pub(crate) fn lost_found(&self) -> Option<u32> {
        self.lost_found
    }

    /// The number of used inodes, including reserved ones; they are numbered from 1 without gaps.
    pub(crate) fn inodes(&self) -> u32 {
        let ours = u32::from(self.lost_found.is_none());
        // The root is one of the reserved ones; `new` has left room for 12 more.
        exact::<u32, _>(self.counts.len()) - 1 + ours + (InodeNumber::LOST_FOUND.get() - 1)
    }

    /// The inode number of an id.
    pub(crate) fn number(&self, id: u32) -> InodeNumber {
        if id == self.root {
            return InodeNumber::ROOT;
        }
        match self.lost_found {
            Some(lost_found) if id == lost_found => InodeNumber::LOST_FOUND,
            lost_found => {
                let before = u32::from(self.root < id) + u32::from(lost_found.is_some_and(|other| other < id));
                InodeNumber::new(InodeNumber::LOST_FOUND.get() + 1 + id - before)
            }
        }
    }

    /// All ids in the order of their inode numbers; `None` stands for a `lost+found` that the tree does not have.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (InodeNumber, Option<u32>)> + use<> {
        let first = [(InodeNumber::ROOT, Some(self.root)), (InodeNumber::LOST_FOUND, self.lost_found)];
        let numbers = (InodeNumber::LOST_FOUND.get() + 1..).map(InodeNumber::new);
        first.into_iter().chain(numbers.zip(self.ordinary().map(Some)))
    }

    /// All ids except those of the root and `lost+found`, in the order of their numbers.
    fn ordinary(&self) -> impl Iterator<Item = u32> + use<> {
        let (root, lost_found) = (self.root, self.lost_found);
        let count: u32 = exact(self.counts.len());
        (0..count).filter(move |&id| id != root && Some(id) != lost_found)
    }

    /// The id of a directory's parent.
    pub(crate) fn parent(&self, id: u32) -> u32 {
        self.parents[id as usize]
    }

    /// `i_links_count`
    pub(crate) fn links(&self, id: u32, directory: bool) -> u16 {
        let mut links = self.counts[id as usize];
        if directory {
            links = links.saturating_add(2);
            if id == self.root && self.lost_found.is_none() {
                links = links.saturating_add(1);
            }
            // dir_nlink: 1 means that the links are not counted.
            if links > MAX_LINKS {
                links = 1;
            }
        }
        exact(links)
    }

    /// The error about an inode, with one of its paths.
    pub(crate) fn refuse(&self, tree: &impl FileTree, id: u32, source: InodeError) -> Error {
        Error::Inode { path: self.path(tree, id), source }
    }

    fn path(&self, tree: &impl FileTree, id: u32) -> Vec<u8> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = id;
        while at != self.root {
            let parent = match self.parents[at as usize] {
                NONE => (0..tree.inodes()).find(|&dir| tree.children(dir).any(|(_, child)| child == at)),
                parent => Some(parent),
            };
            let Some(parent) = parent.filter(|_| names.len() < self.parents.len()) else { break };
            names.extend(tree.children(parent).find(|(_, child)| *child == at).map(|(name, _)| name));
            at = parent;
        }
        names.reverse();
        if names.is_empty() { b"./".to_vec() } else { names.join(&b'/') }
    }
}
