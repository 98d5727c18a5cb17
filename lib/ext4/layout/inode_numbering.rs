//! What the tree says about its inodes as a whole: link counts, parents, inode numbers.

use crate::ext4::{Error, FileTree, InodeError};
use crate::meta::NodeKind;

/// `EXT4_LINK_MAX`
const MAX_LINKS: u32 = 65_000;
/// Inode numbers with a fixed meaning.
pub(crate) const ROOT_INODE: u32 = 2;
/// The resize inode.
pub(crate) const RESIZE_INODE: u32 = 7;
/// The journal.
pub(crate) const JOURNAL_INODE: u32 = 8;
/// `lost+found`; the first inode that is not reserved.
pub(crate) const LOST_FOUND_INODE: u32 = 11;
/// The directory that `e2fsck` needs.
pub(crate) const LOST_FOUND: &[u8] = b"lost+found";

const NONE: u32 = u32::MAX;

/// Facts gathered by one walk over all directories.
#[derive(Debug)]
pub(crate) struct Scan {
    root: u32,
    /// The directory of that name in the root.
    lost_found: Option<u32>,
    /// Names of each inode; of a directory, the directories in it.
    counts: Vec<u32>,
    /// A directory's parent.
    parents: Vec<u32>,
    /// Data blocks of all files.
    pub(crate) data_blocks: u64,
}

impl Scan {
    /// Reads the whole tree once and checks what ext4 or [`FileTree`] demand of it.
    pub(crate) fn new(tree: &impl FileTree) -> Result<Self, Error> {
        let inodes = tree.inodes();
        let root = tree.root();
        // 12 numbers are not for the tree: 0, the reserved ones and lost+found.
        if inodes > u32::MAX - 12 {
            return Err(Error::NoInodes { inodes: u32::MAX.into(), needed: u64::from(inodes) + 12 });
        }
        if root >= inodes || !matches!(tree.inode(root).kind, NodeKind::Directory) {
            return Err(Error::Tree { id: root, reason: "the root is no directory" });
        }
        let mut scan = Self {
            root,
            lost_found: None,
            counts: vec![0; inodes as usize],
            parents: vec![NONE; inodes as usize],
            data_blocks: 0,
        };
        scan.parents[root as usize] = root;
        for id in 0..inodes {
            match tree.inode(id).kind {
                NodeKind::Directory => scan.directory(tree, id)?,
                NodeKind::File(data) => scan.data_blocks += data.blocks(),
                _ => {}
            }
        }
        scan.check(tree)?;
        Ok(scan)
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

    /// The root's id.
    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    /// Whether the tree has a `lost+found` of its own.
    pub(crate) fn lost_found(&self) -> Option<u32> {
        self.lost_found
    }

    /// Inodes used, the reserved ones included; they are numbered from 1 without a gap.
    pub(crate) fn inodes(&self) -> u32 {
        let ours = u32::from(self.lost_found.is_none());
        // The root is among the reserved ones; `new` left room for 12 more.
        u32::try_from(self.counts.len()).unwrap_or(u32::MAX) - 1 + ours + (LOST_FOUND_INODE - 1)
    }

    /// The inode number of an id.
    pub(crate) fn number(&self, id: u32) -> u32 {
        if id == self.root {
            return ROOT_INODE;
        }
        match self.lost_found {
            Some(lost_found) if id == lost_found => LOST_FOUND_INODE,
            lost_found => {
                let before = u32::from(self.root < id) + u32::from(lost_found.is_some_and(|other| other < id));
                LOST_FOUND_INODE + 1 + id - before
            }
        }
    }

    /// All ids but the root's and that of `lost+found`, in the order of their numbers.
    pub(crate) fn ordinary(&self) -> impl Iterator<Item = u32> + use<> {
        let (root, lost_found) = (self.root, self.lost_found);
        let count = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
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
            // dir_nlink: 1 means that nobody counts any more.
            if links > MAX_LINKS {
                links = 1;
            }
        }
        u16::try_from(links).unwrap_or(1)
    }

    /// An error about an inode, with one of its paths.
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
