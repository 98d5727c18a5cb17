//! What a layer hides of the layers below it (F1-F4, F15).

use std::collections::HashMap;

use super::arena::{Arena, NodeId};
use super::cursor::{Cursor, Loops};
use super::ghosts::Ghosts;
use super::{Class, Error, PathError, classify, normalise, path};
use crate::meta::NodeKind;

/// The whiteouts and opaque markers of one layer, collected before the layer is applied.
///
/// First every member of the layer is shown to [`Marks::collect`] (or marks are added by [`Marks::hide`] and
/// [`Marks::opaque`]). If there are any marks, every member is then shown to [`Marks::see`], because a layer that
/// replaces a symlink by a directory does not mean what that symlink led to.
#[derive(Debug, Default)]
pub struct Marks {
    marks: Vec<Mark>,
    /// The layer's own last entry at each directory of a mark and above it.
    own: HashMap<Box<[u8]>, Option<Own>>,
}

#[derive(Debug)]
struct Mark {
    /// The member's position in the layer, 0 first.
    position: u32,
    /// The directory, normalised.
    dir: Box<[u8]>,
    /// The name in it, or every name.
    name: Option<Box<[u8]>>,
}

/// What an entry is, as far as marks care.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// A directory.
    Directory,
    /// A symlink with its target.
    Symlink(&'a [u8]),
    /// Anything else, hard links too.
    Other,
}

#[derive(Debug)]
enum Own {
    Directory,
    Symlink(Box<[u8]>),
    Other,
}

impl Marks {
    /// No marks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Looks at the member at `position` and takes it down when its name is a whiteout or an opaque marker,
    /// whatever its type (F3). Says whether it was.
    ///
    /// # Errors
    /// When the name is refused.
    pub fn collect(&mut self, position: u32, name: &[u8]) -> Result<bool, Error> {
        let mut buffer = Vec::new();
        let refuse = |why: PathError| Error::Name { name: name.into(), why };
        let path = normalise(name, &mut buffer).map_err(refuse)?;
        match classify(path).map_err(refuse)? {
            Class::Entry | Class::Bookkeeping => return Ok(false),
            Class::Whiteout { dir, name } => self.add(position, dir, Some(name)),
            Class::Opaque(dir) => self.add(position, dir, None),
        }
        Ok(true)
    }

    /// Hides what lower layers have at `path` (normalised).
    pub fn hide(&mut self, position: u32, path: &[u8]) {
        let (dir, name) = path::split(path);
        self.add(position, dir, Some(name));
    }

    /// Hides every child that lower layers have in `dir` (normalised).
    pub fn opaque(&mut self, position: u32, dir: &[u8]) {
        self.add(position, dir, None);
    }

    fn add(&mut self, position: u32, dir: &[u8], name: Option<&[u8]>) {
        let mut above = dir;
        while !above.is_empty() && !self.own.contains_key(above) {
            self.own.insert(above.into(), None);
            above = path::parent(above);
        }
        self.marks.push(Mark { position, dir: dir.into(), name: name.map(Into::into) });
    }

    /// Looks at an entry of the layer, in the order of the layer. Marks themselves may be shown too.
    pub fn see(&mut self, name: &[u8], shape: Shape<'_>) {
        let mut buffer = Vec::new();
        let Ok(path) = normalise(name, &mut buffer) else { return };
        if let Some(own) = self.own.get_mut(path) {
            *own = Some(match shape {
                Shape::Directory => Own::Directory,
                Shape::Symlink(target) => Own::Symlink(target.into()),
                Shape::Other => Own::Other,
            });
        }
    }

    /// Takes everything hidden out of the tree; what the tree holds is all from lower layers.
    pub(super) fn apply<C>(mut self, arena: &mut Arena<C>) -> Result<Ghosts, Error> {
        let mut ghosts = Ghosts::default();
        // Upper directories first: what is below a hidden symlink is not what that symlink led to.
        let depth = |mark: &Mark| path::depth(&mark.dir);
        let mut marks = std::mem::take(&mut self.marks);
        marks.sort_by_cached_key(|mark| (depth(mark), mark.position));
        for mark in marks {
            let Some(dir) = self.directory(arena, &ghosts, &mark.dir)? else { continue };
            match mark.name {
                Some(name) => {
                    if let Some(node) = arena.child(dir, &name) {
                        ghosts.add(arena, node, mark.position);
                    }
                }
                None => {
                    while let Some(node) = arena.first_child(dir) {
                        ghosts.add(arena, node, mark.position);
                    }
                }
            }
        }
        Ok(ghosts)
    }

    /// The lower directory that `dir` means in this layer, perhaps one that is hidden further down in the layer; nothing
    /// is made on the way (F2).
    fn directory<C>(&self, arena: &Arena<C>, ghosts: &Ghosts, dir: &[u8]) -> Result<Option<NodeId>, Error> {
        let looped = |_: Loops| Error::Loop(dir.into());
        let mut cursor = Cursor::new(dir);
        let mut here = NodeId::ROOT;
        // How many directories, up from here, are hidden. Symlinks in there lead nowhere.
        let mut hidden = 0_usize;
        while let Some(name) = cursor.next() {
            if name == b".." {
                here = arena.parent(here);
                hidden = hidden.saturating_sub(1);
                continue;
            }
            let visible = arena.child(here, name).filter(|node| hidden == 0 || arena.is_directory(*node));
            let lower = visible.or_else(|| ghosts.directory(arena, here, name));
            let is_hidden = hidden > 0 || visible.is_none();
            let own = cursor.passed().and_then(|passed| self.own.get(passed)?.as_ref());
            let target = match (own, lower, lower.and_then(|node| arena.kind(node))) {
                (None | Some(Own::Directory), Some(node), Some(NodeKind::Directory)) => {
                    here = node;
                    hidden += usize::from(is_hidden);
                    continue;
                }
                (Some(Own::Symlink(target)), _, _) | (None, _, Some(NodeKind::Symlink(target))) => target,
                _ => return Ok(None),
            };
            if target.starts_with(b"/") {
                here = NodeId::ROOT;
                hidden = 0;
            }
            cursor.follow(target).map_err(looped)?;
        }
        Ok(Some(here))
    }
}
