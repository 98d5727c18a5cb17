//! The F rules once more, as naively as they can be written: whole paths in flat maps, a scan wherever one will do.
//!
//! What a layer's whiteouts hide is put aside with their position: it is gone for all entries (F1), but not for hard
//! links that stand further up in the layer (F8).

use std::collections::{BTreeMap, VecDeque};

use super::layers::{Member, What};

/// Normalised; the root is the empty path.
pub type Path = Vec<u8>;

/// An entry or name that breaks a rule: the layers are refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Fifo,
    /// A hard link to what has not come by yet.
    Waiting(Path),
}

#[derive(Clone, Debug)]
pub struct Inode {
    pub kind: Kind,
    /// The line of the member that gave it its attributes, 0 when none has.
    pub line: u32,
}

type Names = BTreeMap<Path, usize>;

pub struct Model {
    pub inodes: Vec<Inode>,
    pub names: Names,
    /// What the layer's whiteouts hide, and the position of the first that does.
    hidden: BTreeMap<Path, (usize, usize)>,
    /// AUFS bookkeeping of the layer (F4).
    book: Names,
    /// Links whose target has not come by, in their order: where, and the inode that stands in.
    waiting: Vec<(Place, Path, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Tree,
    Book,
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Entry,
    Book,
    Whiteout { dir: Path, name: Path },
    Opaque(Path),
}

/// The result of all layers.
pub fn flatten(layers: &[Vec<Member>]) -> Result<Model, Refused> {
    let root = Inode { kind: Kind::Directory, line: 0 };
    let names = || Names::from([(Path::new(), 0)]);
    let mut model =
        Model { inodes: vec![root], names: names(), hidden: BTreeMap::new(), book: names(), waiting: Vec::new() };
    for layer in layers {
        model.apply(layer)?;
        model.hidden.clear();
        model.book = names();
        model.waiting.clear();
    }
    Ok(model)
}

impl Model {
    fn apply(&mut self, layer: &[Member]) -> Result<(), Refused> {
        let mut members = Vec::new();
        for member in layer {
            let path = normalise(&member.name)?;
            members.push((classify(&path)?, path, member));
        }
        self.hide(&members)?;
        for (position, (class, path, member)) in members.iter().enumerate() {
            match class {
                Class::Entry => self.enter(Place::Tree, path, member, position)?,
                Class::Book => self.enter(Place::Book, path, member, position)?,
                Class::Whiteout { .. } | Class::Opaque(_) => {}
            }
        }
        self.wait_no_more()
    }

    /// Takes out of the tree, which holds what the lower layers have, all that the whiteouts name.
    fn hide(&mut self, members: &[(Class, Path, &Member)]) -> Result<(), Refused> {
        let mut marks: Vec<(usize, usize, &Path, Option<&Path>)> = Vec::new();
        for (position, (class, ..)) in members.iter().enumerate() {
            match class {
                Class::Whiteout { dir, name } => marks.push((depth(dir), position, dir, Some(name))),
                Class::Opaque(dir) => marks.push((depth(dir), position, dir, None)),
                Class::Entry | Class::Book => {}
            }
        }
        marks.sort();
        for (_, position, dir, name) in marks {
            let Some(dir) = self.meant(dir, members)? else { continue };
            let target = |path: &Path| match name {
                Some(name) => *path == join(&dir, name) || is_below(path, &join(&dir, name)),
                None => is_below(path, &dir),
            };
            for path in self.names.keys().filter(|path| target(path)).cloned().collect::<Vec<_>>() {
                let inode = self.names.remove(&path).expect("it was listed");
                self.hidden.insert(path, (inode, position));
            }
            for (path, (_, first)) in &mut self.hidden {
                if target(path) {
                    *first = position.min(*first);
                }
            }
        }
        Ok(())
    }

    /// The lower directory that a mark's means, in what the lower layers left; only where the layer itself makes a
    /// directory of a symlink on the way, it is not that symlink that is meant. Hidden directories are walked through
    /// too, hidden symlinks lead nowhere.
    fn meant(&self, dir: &Path, members: &[(Class, Path, &Member)]) -> Result<Option<Path>, Refused> {
        let mut todo = components(dir);
        let (mut here, mut stated, mut follows) = (Path::new(), Some(Path::new()), 0);
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                here = parent(&here);
                continue;
            }
            let path = join(&here, &name);
            stated = stated.map(|stated| join(&stated, &name));
            let own = members.iter().rev().find(|(_, path, _)| stated.as_ref() == Some(path));
            let own = own.map(|(_, _, member)| &member.what);
            let hidden = || self.hidden.get(&path).map(|(inode, _)| *inode).filter(|inode| self.is_directory(*inode));
            let lower = self.names.get(&path).copied().or_else(hidden).map(|inode| &self.inodes[inode].kind);
            match lower {
                Some(Kind::Directory) => here = path,
                Some(Kind::Symlink(target)) if own != Some(&What::Directory) => {
                    follow(target, &mut here, &mut todo, &mut follows)?;
                    stated = None;
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn enter(&mut self, place: Place, path: &Path, member: &Member, position: usize) -> Result<(), Refused> {
        let kind = match &member.what {
            What::Directory => Kind::Directory,
            What::File(content) => Kind::File(content.clone()),
            What::Fifo => Kind::Fifo,
            What::Symlink(target) if target.is_empty() || target.contains(&0) => return Err(Refused("symlink")),
            What::Symlink(target) => Kind::Symlink(target.clone()),
            What::Link(target) => return self.link(place, path, &normalise(target)?, position),
        };
        if path.is_empty() {
            self.inodes[0].line = member.line;
            return if kind == Kind::Directory { Ok(()) } else { Err(Refused("root")) };
        }
        if kind == Kind::Directory {
            let dir = self.make_directory(place, &parent(path))?;
            let known = self.of(place).get(&join(&dir, last(path))).copied();
            if let Some(inode) = known.filter(|inode| self.is_directory(*inode)) {
                self.inodes[inode].line = member.line;
                return Ok(());
            }
        }
        let inode = self.add(kind, member.line);
        self.put(place, path, inode).map(drop)
    }

    fn link(&mut self, place: Place, path: &Path, target: &Path, position: usize) -> Result<(), Refused> {
        if path.is_empty() {
            return Err(Refused("root"));
        }
        let found = match self.find(target, None)? {
            None => self.find(target, Some(position))?,
            found => found,
        };
        let inode = match found.map(|inode| (inode, &self.inodes[inode].kind)) {
            Some((_, Kind::Directory)) => return Err(Refused("link to a directory")),
            None | Some((_, Kind::Waiting(_))) => self.add(Kind::Waiting(target.clone()), 0),
            Some((inode, _)) => inode,
        };
        let stored = self.put(place, path, inode)?;
        if matches!(self.inodes[inode].kind, Kind::Waiting(_)) {
            self.waiting.push((place, stored, inode));
        }
        Ok(())
    }

    /// At the end of the layer links find what came after them, in the order of the links; a link to a link waits for that.
    fn wait_no_more(&mut self) -> Result<(), Refused> {
        for at in 0..self.waiting.len() {
            if self.waiting[at].0 == Place::Tree {
                self.settle(at, self.waiting.len())?;
            }
        }
        Ok(())
    }

    fn settle(&mut self, at: usize, further: usize) -> Result<(), Refused> {
        let (place, path, inode) = self.waiting[at].clone();
        if self.of(place).get(&path) != Some(&inode) {
            return Ok(()); // replaced, or settled
        }
        let Kind::Waiting(target) = self.inodes[inode].kind.clone() else { unreachable!("only links wait") };
        let mut found = self.find(&target, None)?;
        if let Some(next) = self.waiting.iter().position(|(.., inode)| found == Some(*inode)) {
            if further == 0 {
                return Err(Refused("links to each other"));
            }
            self.settle(next, further - 1)?;
            found = self.find(&target, None)?;
        }
        match found {
            None => Err(Refused("link to nothing")),
            Some(inode) if self.is_directory(inode) => Err(Refused("link to a directory")),
            Some(inode) => {
                self.of_mut(place).insert(path, inode);
                Ok(())
            }
        }
    }

    /// What `path` leads to, its last component not followed; with what is hidden behind `position`, if that is given.
    fn find(&self, path: &Path, position: Option<usize>) -> Result<Option<usize>, Refused> {
        let place = if matches!(classify(path), Ok(Class::Book)) { Place::Book } else { Place::Tree };
        let mut todo = components(path);
        let (mut here, mut follows) = (Path::new(), 0);
        let look = |path: &Path| {
            let hidden = || self.hidden.get(path).filter(|(_, at)| position.is_some_and(|position| *at > position));
            let hidden = || hidden().filter(|_| place == Place::Tree).map(|(inode, _)| *inode);
            self.of(place).get(path).copied().or_else(hidden)
        };
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                here = parent(&here);
                continue;
            }
            let path = join(&here, &name);
            let Some(inode) = look(&path) else { return Ok(None) };
            if todo.is_empty() {
                return Ok(Some(inode));
            }
            match &self.inodes[inode].kind {
                Kind::Directory => here = path,
                Kind::Symlink(target) => follow(target, &mut here, &mut todo, &mut follows)?,
                _ => return Ok(None),
            }
        }
        Ok(look(&here))
    }

    /// Gives an inode a name, whatever had it before; says which it is when all symlinks are followed.
    fn put(&mut self, place: Place, path: &Path, inode: usize) -> Result<Path, Refused> {
        let dir = self.make_directory(place, &parent(path))?;
        let path = join(&dir, last(path));
        self.remove(place, &path);
        if place == Place::Tree {
            let merges =
                self.is_directory(inode) && self.hidden.get(&path).is_some_and(|(old, _)| self.is_directory(*old));
            if !merges {
                self.hidden.retain(|other, _| *other != path && !is_below(other, &path));
            }
        }
        self.of_mut(place).insert(path.clone(), inode);
        Ok(path)
    }

    /// The directory at `path`, made where it is missing; symlinks are followed (F7).
    fn make_directory(&mut self, place: Place, path: &Path) -> Result<Path, Refused> {
        let mut todo = components(path);
        let (mut here, mut follows) = (Path::new(), 0);
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                here = parent(&here);
                continue;
            }
            let path = join(&here, &name);
            match self.of(place).get(&path).map(|inode| self.inodes[*inode].kind.clone()) {
                Some(Kind::Directory) => here = path,
                Some(Kind::Symlink(target)) => follow(&target, &mut here, &mut todo, &mut follows)?,
                _ if place == Place::Tree && name.starts_with(b".wh.") => {
                    return Err(Refused("a symlink to a whiteout"));
                }
                _ => {
                    self.remove(place, &path);
                    let inode = self.add(Kind::Directory, 0);
                    self.of_mut(place).insert(path.clone(), inode);
                    here = path;
                }
            }
        }
        Ok(here)
    }

    fn remove(&mut self, place: Place, path: &Path) {
        self.of_mut(place).retain(|other, _| other != path && !is_below(other, path));
    }

    fn add(&mut self, kind: Kind, line: u32) -> usize {
        self.inodes.push(Inode { kind, line });
        self.inodes.len() - 1
    }

    fn is_directory(&self, inode: usize) -> bool {
        self.inodes[inode].kind == Kind::Directory
    }

    fn of(&self, place: Place) -> &Names {
        if place == Place::Tree { &self.names } else { &self.book }
    }

    fn of_mut(&mut self, place: Place) -> &mut Names {
        if place == Place::Tree { &mut self.names } else { &mut self.book }
    }
}

/// F11.
fn normalise(raw: &[u8]) -> Result<Path, Refused> {
    if raw.is_empty() || raw.contains(&0) || raw.split(|byte| *byte == b'/').any(|name| name == b"..") {
        return Err(Refused("name"));
    }
    Ok(Vec::from(components(raw)).join(&b'/'))
}

/// F3 and F4.
fn classify(path: &Path) -> Result<Class, Refused> {
    let names = components(path);
    let is_book = |name: &Path| name.starts_with(b".wh..wh.") && name != b".wh..wh..opq";
    for (at, name) in names.iter().enumerate() {
        let is_last = at + 1 == names.len();
        match name.strip_prefix(b".wh.") {
            None => {}
            Some(_) if is_book(name) => return Ok(Class::Book),
            Some(_) if !is_last => return Err(Refused("below a whiteout")),
            Some(b".wh..opq") => return Ok(Class::Opaque(parent(path))),
            Some(b"" | b"." | b"..") => return Err(Refused("corrupt whiteout")),
            Some(name) => return Ok(Class::Whiteout { dir: parent(path), name: name.to_vec() }),
        }
    }
    Ok(Class::Entry)
}

/// Puts a symlink's target in place of the name that led to it, inside the root (F7).
fn follow(target: &[u8], here: &mut Path, todo: &mut VecDeque<Path>, follows: &mut u32) -> Result<(), Refused> {
    *follows += 1;
    if *follows > 40 || target.len() > 4096 {
        return Err(Refused("loop"));
    }
    if target.starts_with(b"/") {
        here.clear();
    }
    for name in components(target).into_iter().rev() {
        todo.push_front(name);
    }
    Ok(())
}

/// The names in a path; nothing and `.` are none.
fn components(path: &[u8]) -> VecDeque<Path> {
    path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec).collect()
}

fn depth(path: &[u8]) -> usize {
    components(path).len()
}

fn join(dir: &[u8], name: &[u8]) -> Path {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

fn parent(path: &[u8]) -> Path {
    path.iter().rposition(|byte| *byte == b'/').map_or(Path::new(), |at| path[..at].to_vec())
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    let rest =
        if dir.is_empty() { Some(path) } else { path.strip_prefix(dir).and_then(|rest| rest.strip_prefix(b"/")) };
    rest.is_some_and(|rest| !rest.is_empty())
}
