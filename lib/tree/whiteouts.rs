//! What a layer hides in the layers below it (F1-F4, F15).

use std::collections::HashMap;

use super::allowance::Allowance;
use super::arena::{Arena, NodeId};
use super::components::Components;
use super::error::Error;
use super::hidden_entries::HiddenEntries;
use super::path::{self, PathError, WhiteoutKind, normalise, whiteout_kind};
use super::placement_error::PlacementError;
use crate::meta::NodeKind;

/// How a layer marks what it hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhiteoutFormat {
    /// By names that start with `.wh.`, as in OCI and AUFS (F1-F4).
    Names,
    /// By other means, or not at all: `.wh.` names are ordinary (I5, F15).
    Other,
}

/// The whiteouts and opaque markers of one layer, collected before the layer is applied.
///
/// First, call [`Whiteouts::collect`] for every member of the layer, or [`Whiteouts::hide`] and [`Whiteouts::opaque`] for
/// whatever is hidden. Then `MergeTree::look_up` finds the symlinks of lower layers on the way to what they name. If there
/// are any ([`Whiteouts::lead_through_symlinks`]), call [`Whiteouts::see`] for every member, because if the layer replaces
/// a symlink by a directory of its own, its whiteouts do not refer to what that symlink led to.
#[derive(Debug)]
pub struct Whiteouts {
    format: WhiteoutFormat,
    list: Vec<Whiteout>,
    /// All their paths, one after the other.
    paths: Vec<u8>,
    /// The first symlink of a lower layer on the way to each, and whether this layer replaces it by a directory.
    symlinks: HashMap<Box<[u8]>, bool>,
}

#[derive(Clone, Copy, Debug)]
struct Whiteout {
    /// How many members of the layer precede it.
    position: u32,
    /// The lengths of the directory and of the name in it; without a name it refers to all names in the directory.
    dir_len: u32,
    name_len: u32,
    /// The start of its path in `paths`.
    at: u64,
}

impl Whiteouts {
    /// An empty collection.
    #[must_use]
    pub fn new(format: WhiteoutFormat) -> Self {
        Self { format, list: Vec::new(), paths: Vec::new(), symlinks: HashMap::new() }
    }

    /// The memory that they take, in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.list.capacity() * size_of::<Whiteout>() + self.paths.capacity()
    }

    /// How the layer marks what it hides.
    #[must_use]
    pub fn format(&self) -> WhiteoutFormat {
        self.format
    }

    /// Adds a member if its name is that of a whiteout or an opaque marker, whatever its type (F3); returns whether it is.
    /// `position` is the number of members that `LayerInProgress::apply` gets before it.
    ///
    /// # Errors
    /// When the name is invalid.
    pub fn collect(&mut self, position: u32, name: &[u8]) -> Result<bool, Error> {
        let mut buffer = Vec::new();
        let refuse = |why: PathError| Error::Name { name: name.into(), why };
        let path = normalise(name, &mut buffer).map_err(refuse)?;
        match whiteout_kind(path).map_err(refuse)? {
            None | Some(WhiteoutKind::Bookkeeping) => return Ok(false),
            Some(WhiteoutKind::Whiteout { dir, name }) => self.add(position, dir, name),
            Some(WhiteoutKind::Opaque(dir)) => self.add(position, dir, b""),
        }
        Ok(true)
    }

    /// Hides the lower entry at `path` (normalised).
    pub fn hide(&mut self, position: u32, path: &[u8]) {
        let (dir, name) = path::split(path);
        self.add(position, dir, name);
    }

    /// Hides all lower children of `dir` (normalised).
    pub fn opaque(&mut self, position: u32, dir: &[u8]) {
        self.add(position, dir, b"");
    }

    fn add(&mut self, position: u32, dir: &[u8], name: &[u8]) {
        // Names are at most MAX_NAME bytes long, or those of a file system.
        let len = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let at = self.paths.len() as u64;
        self.list.push(Whiteout { position, dir_len: len(dir), name_len: len(name), at });
        self.paths.extend_from_slice(dir);
        self.paths.extend_from_slice(name);
    }

    fn parts(&self, whiteout: Whiteout) -> (&[u8], &[u8]) {
        // All positions are within `paths`, which is in memory, so they fit.
        let at = usize::try_from(whiteout.at).unwrap_or(usize::MAX);
        let path = &self.paths[at..][..whiteout.dir_len as usize + whiteout.name_len as usize];
        path.split_at(whiteout.dir_len as usize)
    }

    /// Whether [`Whiteouts::see`] must be called for the layer's members.
    #[must_use]
    pub fn lead_through_symlinks(&self) -> bool {
        !self.symlinks.is_empty()
    }

    /// Takes note of a member of the layer, in order. Whiteouts may be included.
    pub fn see(&mut self, name: &[u8], is_directory: bool) {
        let mut buffer = Vec::new();
        let Ok(path) = normalise(name, &mut buffer) else { return };
        if let Some(replaced) = self.symlinks.get_mut(path) {
            *replaced = is_directory;
        }
    }

    /// Finds the symlinks of lower layers on the way to what is named.
    pub(super) fn look_up<C>(&mut self, arena: &Arena<C>) {
        let mut symlinks = HashMap::new();
        for whiteout in &self.list {
            let (dir, _) = self.parts(*whiteout);
            let mut parts = Components::new(dir);
            let mut here = NodeId::ROOT;
            while let Some(node) = parts.next().and_then(|name| arena.child(here, name)) {
                match arena.kind(node) {
                    Some(NodeKind::Directory) => here = node,
                    Some(NodeKind::Symlink(_)) => {
                        let path = parts.passed().unwrap_or_default();
                        if !symlinks.contains_key(path) {
                            symlinks.insert(Box::from(path), false);
                        }
                        break;
                    }
                    _ => break,
                }
            }
        }
        self.symlinks = symlinks;
    }

    /// Removes everything hidden from the tree, which at this point contains only lower layers.
    pub(super) fn apply<C>(mut self, arena: &mut Arena<C>, allowance: &mut Allowance) -> Result<HiddenEntries, Error> {
        let mut hidden = HiddenEntries::default();
        // Upper directories first: paths through a hidden symlink do not refer to its target.
        let mut list = std::mem::take(&mut self.list);
        list.sort_by_cached_key(|whiteout| (path::depth(self.parts(*whiteout).0), whiteout.position));
        for whiteout in list {
            let (dir, name) = self.parts(whiteout);
            allowance.member(dir.len());
            let found = self.directory(arena, allowance, &hidden, dir).map_err(|error| error.at(dir))?;
            let Some(node) = found else { continue };
            if name.is_empty() {
                while let Some(child) = arena.first_child(node) {
                    hidden.add(arena, child, whiteout.position);
                }
            } else if let Some(child) = arena.child(node, name) {
                hidden.add(arena, child, whiteout.position);
            }
        }
        Ok(hidden)
    }

    /// The directory `dir`, looked up in the lower layers (F1), including entries that the layer hides; nothing is
    /// created on the way (F2).
    fn directory<C>(
        &self,
        arena: &Arena<C>,
        allowance: &mut Allowance,
        hidden_entries: &HiddenEntries,
        dir: &[u8],
    ) -> Result<Option<NodeId>, PlacementError> {
        let mut parts = Components::new(dir);
        let mut here = NodeId::ROOT;
        // How many directories, from here up, are hidden. Symlinks in hidden directories lead nowhere.
        let mut hidden = 0_usize;
        while let Some(name) = parts.next() {
            allowance.steps(1)?;
            if name == b".." {
                here = arena.parent(here);
                hidden = hidden.saturating_sub(1);
                continue;
            }
            let visible = arena.child(here, name).filter(|node| hidden == 0 || arena.is_directory(*node));
            let lower = visible.or_else(|| hidden_entries.directory(arena, here, name));
            let is_hidden = hidden > 0 || visible.is_none();
            match lower.map(|node| (node, arena.kind(node))) {
                Some((node, Some(NodeKind::Directory))) => {
                    here = node;
                    hidden += usize::from(is_hidden);
                }
                Some((_, Some(NodeKind::Symlink(target)))) => {
                    if parts.passed().and_then(|passed| self.symlinks.get(passed)) == Some(&true) {
                        return Ok(None);
                    }
                    if target.starts_with(b"/") {
                        here = NodeId::ROOT;
                        hidden = 0;
                    }
                    allowance.symlink(target.len())?;
                    parts.follow(target)?;
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(here))
    }
}
