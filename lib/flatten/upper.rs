//! What an overlay needs above one state of a tree to show another (F17).
//!
//! The result is a tree too: what a directory holds that the kernel's overlayfs is given above the lower state. What is
//! gone is a character device 0/0, a directory that hides the whole lower one is opaque; what is new or changed is there
//! whole, and directories on the way to it have their final attributes. Format: the kernel's
//! `Documentation/filesystems/overlayfs.rst`.

use std::iter::Peekable;

use crate::meta::{Device, Entry, Metadata, Named, NodeKind, Timestamp, Xattr, Xattrs};
use crate::tree::{self, InodeId, MergeTree, Sealed, Visit, WhiteoutFormat, Whiteouts};

/// What stands for a name that is gone.
const WHITEOUT: Device = Device { major: 0, minor: 0 };
/// The attribute of a directory that hides the lower one.
const OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// What overlayfs keeps its own attributes under, and shows nobody.
const PRIVATE: &[u8] = b"trusted.overlay.";

/// Why no overlay can show a tree.
#[derive(Debug)]
pub(super) enum UpperError {
    /// This name is something that overlayfs takes for its own.
    Private { name: Vec<u8>, what: &'static str },
    /// The result is no tree.
    Tree(tree::Error),
}

impl From<tree::Error> for UpperError {
    fn from(error: tree::Error) -> Self {
        Self::Tree(error)
    }
}

/// The upper directory that shows `whole` above `lower`.
pub(super) fn upper<C: Clone + PartialEq>(lower: &Sealed<C>, whole: &Sealed<C>) -> Result<Sealed<C>, UpperError> {
    check(whole)?;
    let difference = Difference::between(lower, whole);
    let mut tree = MergeTree::new();
    let mut layer = tree.layer(Whiteouts::new(WhiteoutFormat::Other))?;
    let mut add = |path: &[u8], entry, meta, xattrs| {
        let path = if path.is_empty() { b"." } else { path };
        layer.apply(Named { path, entry, meta, xattrs })
    };
    let (mut walk, mut first, mut gone) = (whole.walk(), Vec::new(), Vec::new());
    while let Some(Visit { path, inode, is_first }) = walk.step() {
        if !difference.shows(inode) {
            continue;
        }
        let view = whole.inode(inode);
        if !is_first {
            whole.first_path(inode, &mut first);
            add(path, Entry::HardLink(first.as_slice().into()), *view.meta, Xattrs::NONE)?;
            continue;
        }
        let is_opaque = difference.is_opaque(inode);
        let xattrs = if is_opaque { opaque(view.xattrs) } else { view.xattrs.clone() };
        add(path, Entry::Node(view.kind.clone()), *view.meta, xattrs)?;
        if let (Some(below), false) = (difference.lower(inode), is_opaque) {
            for (name, _) in Pairs::new(lower.children(below), whole.children(inode)).filter_map(Pair::gone) {
                gone.clear();
                gone.extend_from_slice(path);
                if !path.is_empty() {
                    gone.push(b'/');
                }
                gone.extend_from_slice(name);
                let meta = Metadata { mode: 0, uid: 0, gid: 0, mtime: Timestamp::EPOCH };
                add(&gone, Entry::Node(NodeKind::CharDevice(WHITEOUT)), meta, Xattrs::NONE)?;
            }
        }
    }
    layer.finish()?;
    Ok(tree.seal())
}

/// Refuses what overlayfs would take for a mark of its own, in either part.
fn check<C>(whole: &Sealed<C>) -> Result<(), UpperError> {
    for inode in (0..).map(InodeId).take(whole.len()) {
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
        return Err(UpperError::Private { name, what });
    }
    Ok(())
}

fn opaque(xattrs: &Xattrs) -> Xattrs {
    let mark = Xattr { name: OPAQUE, value: b"y" };
    Xattrs::new(xattrs.iter().chain([mark]).collect())
}

/// What is known of each inode of the whole tree, by its number.
struct Difference {
    states: Vec<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No name of it was seen.
    Unseen,
    /// A file of the lower state, as far as is known.
    Same(InodeId),
    /// A file that the lower state does not have like this.
    Changed,
    /// A directory of both.
    Merged { lower: InodeId, is_shown: bool, is_opaque: bool },
    /// A directory that is none in the lower state.
    New,
}

impl Difference {
    fn between<C: PartialEq>(lower: &Sealed<C>, whole: &Sealed<C>) -> Self {
        let mut difference = Self { states: vec![State::Unseen; whole.len()] };
        let root = State::Merged { lower: InodeId::ROOT, is_shown: true, is_opaque: false };
        *difference.state(InodeId::ROOT) = root;
        // A directory's number comes after that of the one it is in, so this goes from the root down.
        for inode in (0..).map(InodeId).take(whole.len()) {
            if matches!(whole.inode(inode).kind, NodeKind::Directory) {
                difference.compare(lower, whole, inode);
            }
        }
        difference.settle(lower, whole);
        // And this from the leaves up: what is shown wants all directories above it.
        for inode in (0..).map(InodeId).take(whole.len()).collect::<Vec<_>>().into_iter().rev() {
            if matches!(whole.inode(inode).kind, NodeKind::Directory) {
                difference.decide(lower, whole, inode);
            }
        }
        difference
    }

    /// Says of a directory's children what they are in the lower state.
    fn compare<C>(&mut self, lower: &Sealed<C>, whole: &Sealed<C>, directory: InodeId) {
        let is_directory = |tree: &Sealed<C>, inode| matches!(tree.inode(inode).kind, NodeKind::Directory);
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

    /// A file is the lower one if it has all of its names and nothing else about it is other: overlayfs keeps no link
    /// together of which one name is below and another above.
    fn settle<C: PartialEq>(&mut self, lower: &Sealed<C>, whole: &Sealed<C>) {
        for inode in (0..).map(InodeId).take(whole.len()) {
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

    /// Whether a directory of both is shown, and hides the lower one.
    fn decide<C>(&mut self, lower: &Sealed<C>, whole: &Sealed<C>, directory: InodeId) {
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

    /// Whether the upper directory has it.
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

    /// The lower directory that a directory merges with.
    fn lower(&self, inode: InodeId) -> Option<InodeId> {
        match self.states[inode.0 as usize] {
            State::Merged { lower, .. } => Some(lower),
            _ => None,
        }
    }
}

type Child<'t> = (&'t [u8], InodeId);

/// A name in either or both of two directories.
struct Pair<'t> {
    lower: Option<Child<'t>>,
    whole: Option<Child<'t>>,
}

impl<'t> Pair<'t> {
    /// The lower child, if that is all there is.
    fn gone(self) -> Option<Child<'t>> {
        self.lower.filter(|_| self.whole.is_none())
    }
}

/// The names of two directories, which both come sorted.
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
