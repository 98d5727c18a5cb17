//! Rule T4: however a tree is cut into layers, the result is the same bytes.
//!
//! A random tree changes at random, several times; each change becomes a layer that makes the one tree of the other,
//! in one of the many ways there are: by whiteouts and opaque markers (needed or not), by links to what lower layers
//! hold, by whole new inodes, by entries that a later one overrides, in an order that is free where the rules leave it
//! free. The layers flattened must be the bytes of the last tree flattened alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fastrand::Rng;
use oci2ext4::flatten::{Options, flatten};

use crate::support::script::{Item, What};
use crate::support::stack::{self, Manifest};
use crate::support::{Compression, assert_text, listing, scratch};

/// How many trees; each is cut into one to six layers.
const TREES: u64 = 1000;

#[test]
fn bytes_do_not_depend_on_layers() {
    let scratch = scratch();
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let dir = scratch.path().join(thread.to_string());
            std::fs::create_dir(&dir).expect("directory");
            scope.spawn(move || (thread..TREES).step_by(threads as usize).for_each(|seed| check(seed, &dir)));
        }
    });
}

fn check(seed: u64, dir: &Path) {
    let mut rng = Rng::with_seed(seed);
    let mut tree = Tree::new();
    let mut layers = Vec::new();
    for _ in 0..rng.usize(1..=6) {
        let below = tree.clone();
        let changes = rng.usize(1..30);
        (0..changes).for_each(|_| tree.change(&mut rng));
        layers.push(Cut { below: &below, tree: &mut tree }.layer(&mut rng));
    }
    let alone = run(&[tree.items(&mut rng)], &mut rng, dir);
    let cut = run(&layers, &mut rng, dir);
    if alone != cut {
        for (number, layer) in layers.iter().enumerate() {
            eprintln!("== layer {number}");
            layer.iter().for_each(|item| eprintln!("{}", item.line()));
        }
        let show = |tar: &[u8]| String::from_utf8_lossy(&members(tar).join(&b'\n')).into_owned();
        assert_text(&format!("seed {seed}"), &show(&alone), &show(&cut));
        panic!("seed {seed}: same members, other bytes");
    }
    let path = dir.join("result");
    std::fs::write(&path, &cut).expect("result");
    let options = Options { layers: vec![path.clone()], ..Options::default() };
    let again = flatten(None::<&[u8]>, &options).and_then(|tree| {
        let mut again = Vec::new();
        tree.write_to(&mut again).map(|_| again)
    });
    assert!(again.unwrap_or_else(|error| panic!("seed {seed}: {error}")) == cut, "seed {seed}: not idempotent");
    // The tree itself, by somebody else's hand, once in a while.
    if seed.is_multiple_of(50) {
        let root = dir.join("root");
        std::fs::create_dir(&root).expect("mkdir");
        let tar = crate::support::Filter::tool("tar").arg("-xpf").arg(&path).arg("-C").arg(&root);
        tar.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "--warning=no-timestamp"]).run().succeeds();
        assert_text(&format!("seed {seed}, extracted"), &tree.listing(), &listing(&root));
        std::fs::remove_dir_all(&root).expect("remove");
    }
}

/// Header names and types, to show.
fn members(tar: &[u8]) -> Vec<Vec<u8>> {
    let blocks = tar.chunks(512).filter(|block| block.get(257..262) == Some(b"ustar"));
    blocks.map(|block| [&block[..100], &block[156..258]].concat().into_iter().filter(|b| *b != 0).collect()).collect()
}

fn run(layers: &[Vec<Item>], rng: &mut Rng, dir: &Path) -> Vec<u8> {
    let mut manifest = Manifest::default();
    for (number, layer) in layers.iter().enumerate() {
        let tar = stack::tar(layer);
        let how = *rng.choice(&[Compression::Plain, Compression::Gzip, Compression::Zstd]).expect("one");
        manifest.blob(dir.join(format!("{number}")), &stack::compress(&tar, how), &tar, serde_json::json!({}));
    }
    let text = std::io::Cursor::new(manifest.text());
    let options = Options { jobs: rng.usize(1..4), tmpdir: Some(dir.into()), ..Options::default() };
    let mut out = Vec::new();
    let result = flatten(Some(text), &options).and_then(|tree| tree.write_to(&mut out));
    if let Err(error) = result {
        for (number, layer) in layers.iter().enumerate() {
            eprintln!("== layer {number}");
            layer.iter().for_each(|item| eprintln!("{}", item.line()));
        }
        panic!("{error}");
    }
    out
}

type Name = Vec<u8>;

/// Names and the inodes they lead to; the root is the empty name.
#[derive(Clone)]
struct Tree {
    names: BTreeMap<Name, u32>,
    inodes: BTreeMap<u32, Item>,
    next: u32,
}

impl Tree {
    fn new() -> Self {
        let root = Item::new("./", What::Dir);
        Self { names: [(Vec::new(), 0)].into(), inodes: [(0, root)].into(), next: 1 }
    }

    fn at(&self, name: &[u8]) -> Option<&Item> {
        self.names.get(name).map(|inode| &self.inodes[inode])
    }

    fn is_dir(&self, name: &[u8]) -> bool {
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
        let names = ["a", "b", "c", "a.b", "a-", "d", "\u{e4}", "long-name-of-thirty-characters"];
        join(&dir, rng.choice(names).expect("one").as_bytes())
    }

    fn change(&mut self, rng: &mut Rng) {
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
    fn items(&mut self, rng: &mut Rng) -> Vec<Item> {
        let below = Self::new();
        Cut { below: &below, tree: self }.layer(rng)
    }

    /// As [`listing`] shows it.
    fn listing(&self) -> String {
        let mut names: Vec<&Name> = self.names.keys().collect();
        names.sort_by(|a, b| a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/')));
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

/// Makes the layer that turns `below` into `tree`.
struct Cut<'t> {
    below: &'t Tree,
    tree: &'t mut Tree,
}

impl Cut<'_> {
    fn layer(self, rng: &mut Rng) -> Vec<Item> {
        let Self { below, tree } = self;
        let mut marks = Vec::new();
        let mut hidden: BTreeSet<Name> = BTreeSet::new();
        let hide_below = |dir: &[u8], hidden: &mut BTreeSet<Name>| {
            hidden.extend(below.names.keys().filter(|name| is_below(name, dir)).cloned());
        };
        for name in below.names.keys() {
            let (dir, last) = (parent(name).to_vec(), name.rsplit(|b| *b == b'/').next().unwrap_or_default());
            let needed = !name.is_empty() && !tree.names.contains_key(name) && tree.is_dir(&dir) && below.is_dir(&dir);
            // A layer that makes a symlink of a directory and hides something in it would mean the symlink's target.
            let idle = !name.is_empty() && tree.is_dir(&dir) && below.is_dir(&dir) && rng.u32(0..25) == 0;
            if needed && !hidden.contains(name) || idle {
                marks.push(join(&dir, &[b".wh.", last].concat()));
                hidden.insert(name.clone());
                hide_below(name, &mut hidden);
            }
            if below.is_dir(name) && tree.is_dir(name) && rng.u32(0..15) == 0 {
                marks.push(join(name, b".wh..wh..opq"));
                hide_below(name, &mut hidden);
            }
        }
        // A directory that was something else hides nothing, but what it was is gone; so is what was in a directory
        // that is none any more.
        let gone = |name: &Name| below.names.contains_key(name) && !below.is_dir(name) && tree.is_dir(name);
        let seen = |name: &Name| below.names.contains_key(name) && !hidden.contains(name);
        // A name whose way leads through directories that were directories, so that it meant the same before.
        let reachable = |name: &Name| !gone(name) && !ancestors(name).any(|above| gone(&above.to_vec()));

        let mut by_inode: BTreeMap<u32, Vec<Name>> = BTreeMap::new();
        for (name, inode) in &tree.names {
            by_inode.entry(*inode).or_default().push(name.clone());
        }
        let (mut dirs, mut early, mut files, mut late) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut early_names, mut early_targets): (Vec<Name>, Vec<Name>) = (Vec::new(), Vec::new());
        let mut emitted: BTreeSet<Name> = BTreeSet::new();
        let mut fresh: Vec<(u32, Vec<Name>)> = Vec::new();
        for (inode, names) in by_inode {
            let item = &tree.inodes[&inode];
            if item.what == What::Dir {
                continue;
            }
            let kept = |name: &Name| seen(name) && below.names[name] == inode;
            let missing: Vec<Name> = names.iter().filter(|name| !kept(name)).cloned().collect();
            let old: Vec<&Name> = below.names.iter().filter(|(_, i)| **i == inode).map(|(name, _)| name).collect();
            let old: Vec<&Name> = old.into_iter().filter(|name| reachable(name)).collect();
            if missing.is_empty() && rng.u32(0..20) > 0 {
                continue;
            }
            // The new names take away neither this link's target nor another's, nor is it taken already.
            let covers = |name: &Name, target: &Name| name == target || is_below(target, name);
            let safe = |target: &Name| {
                !missing.iter().chain(&early_names).any(|name| covers(name, target))
                    && !missing.iter().any(|name| early_targets.iter().any(|target| covers(name, target)))
            };
            if let Some(target) = rng.choice(old).filter(|target| rng.u32(0..4) > 0 && safe(target)) {
                early_targets.push(target.clone());
                early_names.extend(missing.iter().cloned());
                for name in missing {
                    early.push(link(&name, target));
                    emitted.insert(name);
                }
            } else {
                emitted.extend(names.iter().cloned());
                fresh.push((inode, names));
            }
        }
        for (inode, mut names) in fresh {
            rng.shuffle(&mut names);
            let first = names[0].clone();
            if rng.u32(0..8) == 0 {
                files.push(named(random_item(rng, false), &first)); // overridden by what follows
            }
            files.push(named(tree.inodes[&inode].clone(), &first));
            for name in &names[1..] {
                // Where nothing had the target's name the link may come first.
                let free =
                    !below.names.contains_key(&first) && !ancestors(&first).any(|a| below.at(a).is_some_and(not_dir));
                let takes = early_targets.iter().any(|target| target == name || is_below(target, name));
                let list = if free && !takes && rng.bool() { &mut early } else { &mut late };
                list.push(link(name, &first));
            }
        }
        for (name, inode) in &tree.names {
            let item = &tree.inodes[inode];
            if item.what != What::Dir {
                continue;
            }
            let has_child = emitted.iter().any(|other| is_below(other, name));
            let before = below.at(name).filter(|_| name.is_empty() || !hidden.contains(name));
            let same = match before {
                Some(before) if before.what == What::Dir => before == item,
                Some(Item { what: What::Symlink(_), .. }) => false,
                _ => has_child && *item == implied(),
            };
            if !same || rng.u32(0..4) == 0 {
                dirs.push(named(item.clone(), name));
            }
        }
        rng.shuffle(&mut early);
        rng.shuffle(&mut late);
        shuffle_kept_twice(rng, &mut files);
        let mut layer = dirs;
        let links_end = layer.len() + early.len();
        let first_mark = if early.is_empty() { 0 } else { links_end };
        layer.extend(early);
        layer.extend(files);
        layer.extend(late);
        for mark in marks {
            let what = if rng.bool() { What::File(Vec::new()) } else { What::Link(b".wh..wh.aufs".to_vec()) };
            let at = rng.usize(first_mark..=layer.len());
            layer.insert(at, Item::new(mark, what));
        }
        for item in &mut layer {
            spell(rng, &mut item.name);
            if let What::Link(target) = &mut item.what {
                spell(rng, target);
            }
        }
        layer
    }
}

fn not_dir(item: &Item) -> bool {
    item.what != What::Dir
}

/// What a directory is that nobody describes.
fn implied() -> Item {
    Item::new("", What::Dir)
}

/// Shuffles, but keeps entries of the same name in their order.
fn shuffle_kept_twice(rng: &mut Rng, files: &mut [Item]) {
    let order: Vec<Item> = files.to_vec();
    rng.shuffle(files);
    let mut used: BTreeMap<Name, usize> = BTreeMap::new();
    for file in files.iter_mut() {
        let nth = used.entry(file.name.clone()).or_default();
        let same = order.iter().filter(|item| item.name == file.name).nth(*nth).expect("as many").clone();
        *nth += 1;
        *file = same;
    }
}

fn link(name: &[u8], target: &[u8]) -> Item {
    // A link's own attributes mean nothing.
    Item { mode: 0o777, owner: (9, 9), ..Item::new(name, What::Link(target.to_vec())) }
}

fn named(item: Item, name: &[u8]) -> Item {
    let name = if name.is_empty() { b"." } else { name };
    Item { name: name.to_vec(), ..item }
}

fn spell(rng: &mut Rng, name: &mut Name) {
    match rng.u32(0..10) {
        0 => drop(name.splice(0..0, *b"./")),
        1 => name.insert(0, b'/'),
        2 => {
            if let Some(slash) = name.iter().position(|byte| *byte == b'/') {
                drop(name.splice(slash..slash, *b"/."));
            }
        }
        _ => {}
    }
}

fn random_item(rng: &mut Rng, dir: bool) -> Item {
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

fn join(dir: &[u8], name: &[u8]) -> Name {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

fn parent(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &name[..slash])
}

/// Every directory above, the root last.
fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    fn up(name: &[u8]) -> Option<&[u8]> {
        (!name.is_empty()).then(|| parent(name))
    }
    std::iter::successors(up(name), |name| up(name))
}

fn is_below(name: &[u8], dir: &[u8]) -> bool {
    !name.is_empty() && (dir.is_empty() || name.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/')))
}
