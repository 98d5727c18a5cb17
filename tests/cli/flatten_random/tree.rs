//! A tree that changes at random, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastrand::Rng;

use super::cut::Cut;
use crate::support::script::{Item, What};

pub(super) type Name = Vec<u8>;

/// Names and the inodes they lead to; the root is the empty name.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) names: BTreeMap<Name, u32>,
    pub(super) inodes: BTreeMap<u32, Item>,
    pub(super) next: u32,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Item::new("./", What::Dir);
        Self { names: [(Vec::new(), 0)].into(), inodes: [(0, root)].into(), next: 1 }
    }

    pub(super) fn at(&self, name: &[u8]) -> Option<&Item> {
        self.names.get(name).map(|inode| &self.inodes[inode])
    }

    pub(super) fn is_dir(&self, name: &[u8]) -> bool {
        self.at(name).is_some_and(|item| item.what == What::Dir)
    }

    fn add(&mut self, name: Name, mut item: Item) {
        self.remove(&name);
        item.name = Vec::new();
        self.inodes.insert(self.next, item);
        self.names.insert(name, self.next);
        self.next += 1;
    }

    fn remove(&mut self, name: &[u8]) {
        self.names.retain(|other, _| other != name && !is_below(other, name));
    }

    fn pick(&self, rng: &mut Rng, accept: impl Fn(&Name, &Item) -> bool) -> Option<Name> {
        let fit: Vec<&Name> =
            self.names.iter().filter(|(name, inode)| accept(name, &self.inodes[inode])).map(|(name, _)| name).collect();
        rng.choice(fit).cloned()
    }

    /// A name in a directory, free or taken.
    fn place(&self, rng: &mut Rng) -> Name {
        let dir = self.pick(rng, |_, item| item.what == What::Dir).expect("the root");
        let names: [&[u8]; 9] =
            [b"a", b"b", b"c", b"a.b", b"a-", b"d", "\u{e4}".as_bytes(), b"\xe4", b"long-name-of-thirty-characters"];
        join(&dir, rng.choice(names).expect("one"))
    }

    pub(super) fn change(&mut self, rng: &mut Rng) {
        match rng.u32(0..20) {
            0..=4 => {
                let place = self.place(rng);
                if !self.is_dir(&place) {
                    self.add(place, random_item(rng, true));
                }
            }
            5..=10 => {
                let place = self.place(rng);
                self.add(place, random_item(rng, false));
            }
            11..=13 => {
                let other = self.pick(rng, |_, item| item.what != What::Dir);
                let place = self.place(rng);
                if let Some(inode) = other.and_then(|other| self.names.get(&other).copied()) {
                    self.remove(&place);
                    self.names.insert(place, inode);
                }
            }
            14..=16 => {
                if let Some(name) = self.pick(rng, |name, _| !name.is_empty()) {
                    self.remove(&name);
                }
            }
            17..=18 => {
                // In place: a new inode to an extractor, unless it is a directory.
                let name = self.pick(rng, |_, _| true).expect("the root");
                let mut item = self.at(&name).expect("picked").clone();
                attributes(rng, &mut item);
                let inode = if item.what == What::Dir { self.names[&name] } else { self.next };
                self.next = self.next.max(inode + 1);
                self.inodes.insert(inode, item);
                self.names.insert(name, inode);
            }
            _ => {
                let from = self.pick(rng, |name, item| !name.is_empty() && item.what == What::Dir);
                let to = self.place(rng);
                if let Some(from) = from.filter(|from| *from != to && !is_below(&to, from)) {
                    self.remove(&to);
                    let moved: Vec<(Name, u32)> = self
                        .names
                        .iter()
                        .filter(|(name, _)| **name == from || is_below(name, &from))
                        .map(|(name, inode)| ([&to, &name[from.len()..]].concat(), *inode))
                        .collect();
                    self.remove(&from);
                    if self.is_dir(parent(&to)) {
                        self.names.extend(moved);
                    }
                }
            }
        }
    }

    /// The whole tree as one layer, in an order of its own.
    pub(super) fn items(&mut self, rng: &mut Rng) -> Vec<Item> {
        let below = Self::new();
        Cut { below: &below, tree: self }.layer(rng)
    }

    /// Names by component, parents first (T1).
    fn sorted(&self) -> Vec<&Name> {
        let mut names: Vec<&Name> = self.names.keys().collect();
        names.sort_by(|a, b| a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/')));
        names
    }

    /// As [`crate::support::members`] must find it.
    pub(super) fn members(&self) -> String {
        let names = self.sorted();
        let mut first: BTreeMap<u32, &Name> = BTreeMap::new();
        let mut text = String::new();
        for name in names {
            let (inode, shown) = (self.names[name], name.escape_ascii());
            if let Some(first) = first.get(&inode) {
                let _ = writeln!(text, "1 {shown} -> {}", first.escape_ascii());
                continue;
            }
            first.insert(inode, name);
            let item = &self.inodes[&inode];
            let (flag, size, target) = match &item.what {
                What::Dir => ('5', None, None),
                What::File(content) => ('0', Some(content.len() as u64), None),
                What::Sparse(size, _) => ('0', Some(*size), None),
                What::Symlink(target) => ('2', None, Some(target)),
                What::Char(..) => ('3', None, None),
                What::Block(..) => ('4', None, None),
                What::Fifo => ('6', None, None),
                What::Link(_) => panic!("a link is no inode"),
            };
            let slash = match &item.what {
                What::Dir if name.is_empty() => "./",
                What::Dir => "/",
                _ => "",
            };
            let _ = write!(text, "{flag} {shown}{slash}");
            if let Some(target) = target {
                let _ = write!(text, " -> {}", target.escape_ascii());
            }
            let fraction = format!(".{:09}", item.mtime.1);
            let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
            let _ = write!(text, " {:04o} {}:{} @{}{fraction}", item.mode, item.owner.0, item.owner.1, item.mtime.0);
            if let Some(size) = size {
                let _ = write!(text, " {size}");
            }
            for (key, value) in &item.xattrs {
                let _ = write!(text, " {}={}", key.escape_ascii(), value.escape_ascii());
            }
            text.push('\n');
        }
        text
    }

    /// As [`crate::support::listing`] shows it.
    pub(super) fn listing(&self) -> String {
        let names = self.sorted();
        let mut first: BTreeMap<u32, &Name> = BTreeMap::new();
        let line = |name: &Name| {
            let inode = self.names[name];
            let mut item = self.inodes[&inode].clone();
            let known =
                *first.entry(inode).or_insert_with(|| names.iter().find(|n| self.names[**n] == inode).expect("it"));
            item.name.clone_from(name);
            if item.what == What::Dir {
                if name.is_empty() {
                    item.name.push(b'.');
                }
                item.name.push(b'/');
            } else if known != name {
                item.what = What::Link(known.clone());
            }
            item.line() + "\n"
        };
        names.iter().copied().map(line).collect()
    }
}

pub(super) fn random_item(rng: &mut Rng, dir: bool) -> Item {
    let what = match rng.u32(0..12) {
        _ if dir => What::Dir,
        0 => What::Symlink(rng.choice(["a", "../b", "/c/d", "nowhere"]).expect("one").into()),
        1 => What::Fifo,
        2 => What::Char(1, rng.u32(0..300)),
        3 => What::Block(259, rng.u32(0..70000)),
        4 => What::Sparse(100_000, vec![(512 * rng.u64(1..50), vec![b's'; 700]), (90_000, b"end".to_vec())]),
        5 => What::File(vec![b'x'; rng.usize(0..100_000)]),
        _ => What::File(rng.u32(..).to_string().into_bytes()),
    };
    let mut item = Item::new("", what);
    attributes(rng, &mut item);
    item
}

fn attributes(rng: &mut Rng, item: &mut Item) {
    if rng.u32(0..4) == 0 {
        return;
    }
    if !matches!(item.what, What::Symlink(_)) {
        item.mode = *rng.choice(&[0o644, 0o4755, 0o1777, 0o700, 0o000]).expect("one");
    }
    item.owner = *rng.choice(&[(0, 0), (1000, 1000), (3_000_000_000, 65534)]).expect("one");
    item.mtime =
        *rng.choice(&[(0, 0), (1_700_000_000, 0), (1_700_000_000, 120_000_000), (5_000_000_000, 1)]).expect("one");
    item.xattrs.clear();
    if rng.u32(0..4) == 0 && matches!(item.what, What::File(_) | What::Dir) {
        item.xattrs.push((b"trusted.t".to_vec(), rng.u8(..).to_string().into_bytes()));
        item.xattrs.push((b"user.empty".to_vec(), Vec::new()));
    }
}

pub(super) fn join(dir: &[u8], name: &[u8]) -> Name {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

pub(super) fn parent(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &name[..slash])
}

/// Every directory above, the root last.
pub(super) fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    fn up(name: &[u8]) -> Option<&[u8]> {
        (!name.is_empty()).then(|| parent(name))
    }
    std::iter::successors(up(name), |name| up(name))
}

pub(super) fn is_below(name: &[u8], dir: &[u8]) -> bool {
    !name.is_empty() && (dir.is_empty() || name.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/')))
}
