//! Directories where the index is hardest: hash collisions on a leaf's border, names of every length, limits.

use std::collections::HashMap;

use super::tree::{IDENTITY, Image, TestTree};
use crate::support::{LoopMount, debugfs, e2fsck_silent, scratch, tool};
use oci2ext4::ext4::{FileData, Options};
use oci2ext4::meta::NodeKind;

fn empty_file() -> NodeKind<FileData> {
    NodeKind::File(FileData::EMPTY)
}

/// The major hashes of `names` under the seed of [`IDENTITY`], as debugfs computes them.
fn major_hashes(names: &[String]) -> Vec<u32> {
    let directory = scratch();
    let requests = directory.path().join("requests");
    let seed = uuid::Uuid::from_bytes(IDENTITY.hash_seed);
    let request = |name: &String| format!("dx_hash -h half_md4 -s {seed} {name}\n");
    std::fs::write(&requests, names.iter().map(request).collect::<String>()).unwrap();
    let ran = tool("debugfs", ["-f".as_ref(), requests.as_os_str()]);
    let words = ran.text().lines().filter_map(|line| line.strip_prefix("Hash of ")?.split(' ').nth(2));
    let hashes: Vec<u32> = words.map(|word| u32::from_str_radix(&word[2..], 16).unwrap()).collect();
    assert_eq!(hashes.len(), names.len());
    hashes
}

/// Two names of one major hash, the second of them first in the next leaf: only the mark in the index leads there.
#[test]
fn names_that_collide_across_two_leaves_are_found() {
    let names: Vec<String> = (0..200_000).map(|n| format!("{n:08x}")).collect();
    let hashes = major_hashes(&names);
    let mut seen: HashMap<u32, &String> = HashMap::new();
    let mut hashed = hashes.iter().zip(&names);
    let pair = hashed.find_map(|(hash, name)| seen.insert(*hash, name).map(|first| (*hash, first, name)));
    let (border, first, second) = pair.unwrap();
    // Entries of 16 bytes, four fifths of 4084 bytes in a leaf: 204. One less stands before the pair.
    let hashed = || hashes.iter().zip(&names);
    let before = hashed().filter(|(hash, _)| **hash < border).take(203);
    let behind = hashed().filter(|(hash, _)| **hash > border).take(300);
    let mut tree = TestTree::new();
    let dir = tree.dir(0, "dir");
    for (_, name) in before.chain(behind) {
        tree.add(dir, name, empty_file());
    }
    tree.add(dir, first, empty_file());
    tree.add(dir, second, empty_file());
    let image = Image::new();
    image.writer(&Options::default()).finish(&tree, &IDENTITY).unwrap();
    e2fsck_silent(image.path()); // ext4-view 1.0 does not look into the next leaf

    let dump = debugfs(image.path(), "htree_dump /dir");
    assert!(dump.contains(&format!("{:#x}", border | 1)), "the second leaf does not continue {border:#x}\n{dump}");
    let mount = LoopMount::read_write(image.path());
    for name in [first, second] {
        let path = mount.path().join("dir").join(name);
        assert!(path.exists(), "{}", path.display());
        std::fs::remove_file(path).unwrap();
    }
    mount.unmount();
    image.fsck();
}

#[test]
fn random_directories_are_clean() {
    let mut random = fastrand::Rng::with_seed(8);
    for compat in [false, true] {
        let mut tree = TestTree::new();
        for number in 0..150 {
            let dir = tree.dir(0, format!("{number}"));
            let longest = random.usize(9..=255);
            let shortest = random.usize(6..longest);
            for entry in 0..random.usize(0..600) {
                let mut name = format!("{entry:x}.").into_bytes();
                let length = random.usize(shortest..=longest);
                name.extend((name.len()..length).map(|_| random.u8(b'0'..=255)));
                match random.u8(0..9) {
                    0 => drop(tree.dir(dir, name)),
                    1 => drop(tree.add(dir, name, NodeKind::Symlink(b"x"[..].into()))),
                    2 => drop(tree.add(dir, name, NodeKind::Fifo)),
                    _ => drop(tree.add(dir, name, empty_file())),
                }
            }
        }
        Image::new().write(&Options { compat, ..Options::default() }, &tree);
    }
}

#[test]
fn more_than_65000_subdirectories_count_as_one_link() {
    let mut tree = TestTree::new();
    for number in 0..65_100 {
        tree.dir(0, format!("{number}"));
    }
    let image = Image::new();
    image.write(&Options::default(), &tree);
    let stat = debugfs(image.path(), "stat /");
    assert!(stat.contains("Links: 1 "), "{stat}");
}
