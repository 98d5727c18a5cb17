//! One of the many layers that make the one tree of the other.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::tree::{Name, Tree, ancestors, is_below, join, parent, random_item};
use crate::support::script::{Item, What};

/// Makes the layer that turns `below` into `tree`.
pub(super) struct Cut<'t> {
    pub(super) below: &'t Tree,
    pub(super) tree: &'t mut Tree,
}

impl Cut<'_> {
    pub(super) fn layer(self, rng: &mut Rng) -> Vec<Item> {
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
