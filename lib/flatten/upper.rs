//! The upper directory of an overlay that turns one state of a tree into another (F17).
//!
//! The result is a tree too: the content of the directory that the kernel's overlayfs gets above the lower state. A
//! removed name is a character device 0/0, a directory that hides the whole lower one is opaque; whatever is new or
//! changed is there in full, and the directories above it have their final attributes. Format: the kernel's
//! `Documentation/filesystems/overlayfs.rst`.

use std::iter::Peekable;

use super::Error;
use super::linked_names::LinkedNames;
use super::overlay::{OPAQUE, PRIVATE, WHITEOUT};
use crate::meta::{Entry, Metadata, Named, NodeKind, Timestamp, Xattr, Xattrs};
use crate::tree::{InodeId, MergeTree, SealedTree, Visit, WhiteoutFormat, Whiteouts, push_component};

/// The upper directory that makes an overlay above `lower` show `whole`.
pub(super) fn upper<C: Clone + PartialEq>(
    lower: &SealedTree<C>,
    whole: &SealedTree<C>,
) -> Result<SealedTree<C>, Error> {
    check(whole)?;
    let difference = Difference::between(lower, whole);
    let mut tree = MergeTree::new();
    let mut layer = tree.layer(Whiteouts::new(WhiteoutFormat::Other)).map_err(Error::Upper)?;
    let mut add = |path: &[u8], entry, meta, xattrs| {
        let path = if path.is_empty() { b"." } else { path };
        layer.apply(Named { path, entry, meta, xattrs }).map_err(Error::Upper)
    };
    let (mut walk, mut first, mut gone) = (whole.walk(), Vec::new(), Vec::new());
    let mut linked = LinkedNames::new();
    while let Some(Visit { path, inode, is_first }) = walk.step() {
        linked.entry();
        if !difference.shows(inode) {
            continue;
        }
        let view = whole.inode(inode);
        if !is_first {
            whole.first_path(inode, &mut first);
            linked.link(path, &first)?;
            add(path, Entry::HardLink(first.as_slice().into()), *view.meta, Xattrs::NONE)?;
            continue;
        }
        let is_opaque = difference.is_opaque(inode);
        let xattrs = if is_opaque { opaque(view.xattrs) } else { view.xattrs.clone() };
        add(path, Entry::Node(view.kind.clone()), *view.meta, xattrs)?;
        if let (Some(below), false) = (difference.lower(inode), is_opaque) {
            for (name, _) in Pairs::new(lower.children(below), whole.children(inode)).filter_map(Pair::gone) {
                path.clone_into(&mut gone);
                push_component(&mut gone, name);
                let meta = Metadata { mode: 0, uid: 0, gid: 0, mtime: Timestamp::EPOCH };
                add(&gone, Entry::Node(NodeKind::CharDevice(WHITEOUT)), meta, Xattrs::NONE)?;
            }
        }
    }
    layer.finish().map_err(Error::Upper)?;
    Ok(tree.seal())
}

/// Refuses whatever overlayfs would take for one of its own marks.
fn check<C>(whole: &SealedTree<C>) -> Result<(), Error> {
    for inode in whole.inodes() {
        let view = whole.inode(inode);
        let what = if matches!(view.kind, NodeKind::CharDevice(WHITEOUT)) {
            "a device 0/0, which overlayfs takes for a whiteout"
        } else if view.xattrs.iter().any(|xattr| xattr.name.starts_with(PRIVATE)) {
            "an attribute trusted.overlay.*, which overlayfs takes for its own"
        } else {
            continue;
        };
        let mut name = Vec::new();
        whole.first_path(inode, &mut name);
        return Err(Error::Overlay { name, what });
    }
    Ok(())
}

fn opaque(xattrs: &Xattrs) -> Xattrs {
    let mark = Xattr { name: OPAQUE, value: b"y" };
    Xattrs::new(xattrs.iter().chain([mark]).collect())
}

/// What is known about each inode of the whole tree, by number.
struct Difference {
    states: Vec<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// None of its names has been seen.
    Unseen,
    /// So far, the same as this file of the lower state.
    Same(InodeId),
    /// A file that is different or missing in the lower state.
    Changed,
    /// A directory in both states.
    Merged { lower: InodeId, is_shown: bool, is_opaque: bool },
    /// A directory that is not one in the lower state.
    New,
}

impl Difference {
    fn between<C: PartialEq>(lower: &SealedTree<C>, whole: &SealedTree<C>) -> Self {
        let mut difference = Self { states: vec![State::Unseen; whole.inode_count() as usize] };
        let root = State::Merged { lower: InodeId::ROOT, is_shown: true, is_opaque: false };
        *difference.state(InodeId::ROOT) = root;
        // A directory's number is higher than its parent's, so this goes from the root down.
        for inode in whole.inodes() {
            if matches!(whole.inode(inode).kind, NodeKind::Directory) {
                difference.compare(lower, whole, inode);
            }
        }
        difference.settle(lower, whole);
        // And this from the leaves up: whatever is shown needs all directories above it.
        for inode in whole.inodes().rev() {
            if matches!(whole.inode(inode).kind, NodeKind::Directory) {
                difference.decide(lower, whole, inode);
            }
        }
        difference
    }

    /// Compares the children of a directory with the lower state.
    fn compare<C>(&mut self, lower: &SealedTree<C>, whole: &SealedTree<C>, directory: InodeId) {
        let is_directory = |tree: &SealedTree<C>, inode| matches!(tree.inode(inode).kind, NodeKind::Directory);
        let below = self.lower(directory);
        let Some(below) = below else {
            for (_, child) in whole.children(directory) {
                *self.state(child) = if is_directory(whole, child) { State::New } else { State::Changed };
            }
            return;
        };
        for pair in Pairs::new(lower.children(below), whole.children(directory)) {
            let Some((_, child)) = pair.whole else { continue };
            let partner = pair.lower.map(|(_, partner)| partner);
            let state = match (partner, is_directory(whole, child)) {
                (Some(partner), true) if is_directory(lower, partner) => {
                    State::Merged { lower: partner, is_shown: false, is_opaque: false }
                }
                (_, true) => State::New,
                (Some(partner), false) if !is_directory(lower, partner) => match *self.state(child) {
                    State::Unseen => State::Same(partner),
                    State::Same(before) if before == partner => State::Same(partner),
                    _ => State::Changed,
                },
                (_, false) => State::Changed,
            };
            *self.state(child) = state;
        }
    }

    /// A file is unchanged only if all of its names and everything else are the same: overlayfs cannot link a name in the
    /// upper directory to an inode in the lower one.
    fn settle<C: PartialEq>(&mut self, lower: &SealedTree<C>, whole: &SealedTree<C>) {
        for inode in whole.inodes() {
            if let State::Same(partner) = *self.state(inode) {
                let (now, before) = (whole.inode(inode), lower.inode(partner));
                let same = (now.names, now.kind, now.meta, now.xattrs)
                    == (before.names, before.kind, before.meta, before.xattrs);
                if !same {
                    *self.state(inode) = State::Changed;
                }
            }
        }
    }

    /// Decides whether a directory of both states is shown, and whether it hides the lower one.
    fn decide<C>(&mut self, lower: &SealedTree<C>, whole: &SealedTree<C>, directory: InodeId) {
        let State::Merged { lower: below, is_shown, .. } = *self.state(directory) else { return };
        let (mut gone, mut kept, mut shown) = (0_u64, 0_u64, is_shown);
        for pair in Pairs::new(lower.children(below), whole.children(directory)) {
            match pair.whole {
                None => gone += 1,
                Some((_, child)) => {
                    kept += u64::from(matches!(self.state(child), State::Same(_) | State::Merged { .. }));
                    shown |= self.shows(child);
                }
            }
        }
        let (now, before) = (whole.inode(directory), lower.inode(below));
        shown |= gone > 0 || (now.meta, now.xattrs) != (before.meta, before.xattrs);
        // The roots of layers always merge.
        let is_opaque = gone > 0 && kept == 0 && directory != InodeId::ROOT;
        *self.state(directory) = State::Merged { lower: below, is_shown: shown, is_opaque };
    }

    fn state(&mut self, inode: InodeId) -> &mut State {
        &mut self.states[inode.0 as usize]
    }

    /// Whether it is part of the upper directory.
    fn shows(&self, inode: InodeId) -> bool {
        match self.states[inode.0 as usize] {
            State::Changed | State::New => true,
            State::Merged { is_shown, .. } => is_shown,
            State::Same(_) | State::Unseen => false,
        }
    }

    fn is_opaque(&self, inode: InodeId) -> bool {
        matches!(self.states[inode.0 as usize], State::Merged { is_opaque: true, .. })
    }

    /// The lower directory that this one merges with.
    fn lower(&self, inode: InodeId) -> Option<InodeId> {
        match self.states[inode.0 as usize] {
            State::Merged { lower, .. } => Some(lower),
            _ => None,
        }
    }
}

type Child<'t> = (&'t [u8], InodeId);

/// A name that is in one or both of two directories.
struct Pair<'t> {
    lower: Option<Child<'t>>,
    whole: Option<Child<'t>>,
}

impl<'t> Pair<'t> {
    /// The lower child, if there is only that.
    fn gone(self) -> Option<Child<'t>> {
        self.lower.filter(|_| self.whole.is_none())
    }
}

/// Merges the sorted names of two directories.
struct Pairs<L: Iterator, W: Iterator> {
    lower: Peekable<L>,
    whole: Peekable<W>,
}

impl<'t, L: Iterator<Item = Child<'t>>, W: Iterator<Item = Child<'t>>> Pairs<L, W> {
    fn new(lower: L, whole: W) -> Self {
        Self { lower: lower.peekable(), whole: whole.peekable() }
    }
}

impl<'t, L: Iterator<Item = Child<'t>>, W: Iterator<Item = Child<'t>>> Iterator for Pairs<L, W> {
    type Item = Pair<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let (lower, whole) = (self.lower.peek().copied(), self.whole.peek().copied());
        let order = match (lower, whole) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((below, _)), Some((above, _))) => below.cmp(above),
        };
        let lower = if order.is_le() { self.lower.next() } else { None };
        let whole = if order.is_ge() { self.whole.next() } else { None };
        Some(Pair { lower, whole })
    }
}
