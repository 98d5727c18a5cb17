//! Directories where the index is hardest: hash collisions on a leaf's border, names of every length, limits.

use std::collections::HashMap;

use super::support::{IDENTITY, Image, Mount, TestTree};
use crate::ext4::format::checksum::ChecksumSeed;
use crate::ext4::format::dir_entry::DirEntry;
use crate::ext4::format::directory::DirFormat;
use crate::ext4::format::name_hash::{HashSeed, HashSign, half_md4};
use crate::ext4::layout::directory::DirectoryPlan;
use crate::ext4::number::InodeNumber;
use crate::ext4::{DirError, FileData, FileType, Options};
use crate::meta::NodeKind;

fn empty_file() -> NodeKind<FileData> {
    NodeKind::File(FileData::EMPTY)
}

fn major(name: &[u8]) -> u32 {
    half_md4(name, HashSeed::from_bytes(IDENTITY.hash_seed), HashSign::Signed).major
}

/// Two names of one major hash, the second of them first in the next leaf: only the mark in the index leads there.
#[test]
fn names_that_collide_across_two_leaves_are_found() {
    let names: Vec<Vec<u8>> = (0..200_000).map(|n| format!("{n:08x}").into_bytes()).collect();
    let mut seen: HashMap<u32, &[u8]> = HashMap::new();
    let mut pair = None;
    for name in &names {
        if let Some(first) = seen.insert(major(name), name) {
            pair = Some((first, &name[..]));
            break;
        }
    }
    let (first, second) = pair.unwrap();
    // Entries of 16 bytes, four fifths of 4084 bytes in a leaf: 204. One less stands before the pair.
    let border = major(first);
    let before = names.iter().filter(|name| major(name) < border).take(203);
    let behind = names.iter().filter(|name| major(name) > border).take(300);
    let mut tree = TestTree::new();
    let dir = tree.dir(0, "dir");
    for name in before.chain(behind) {
        tree.add(dir, name, empty_file());
    }
    tree.add(dir, first, empty_file());
    tree.add(dir, second, empty_file());
    let image = Image::new();
    image.write(&Options::default(), &tree);

    let dump = super::support::run("debugfs", &["-R", "htree_dump /dir"], &image.path());
    assert!(dump.contains(&format!("{:#x}", border | 1)), "the second leaf does not continue {border:#x}\n{dump}");
    let mount = Mount::read_write(&image.path());
    for name in [first, second] {
        let path = mount.path().join("dir").join(str::from_utf8(name).unwrap());
        assert!(path.exists(), "{}", path.display());
        std::fs::remove_file(path).unwrap();
    }
    drop(mount);
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
    let stat = super::support::run("debugfs", &["-R", "stat /"], &image.path());
    assert!(stat.contains("Links: 1 "), "{stat}");
}

#[test]
fn names_that_no_directory_holds_are_refused() {
    let format = DirFormat { checksum_seed: None, hash_seed: HashSeed::default(), hash_sign: HashSign::Signed };
    for (name, reason) in [
        (&b""[..], "empty"),
        (b".", "reserved"),
        (b"..", "reserved"),
        (b"a/b", "holds NUL or a slash"),
        (b"a\0b", "holds NUL or a slash"),
        (&[b'n'; 256], "longer than 255 bytes"),
    ] {
        let entries =
            [&b"good"[..], name].map(|name| DirEntry { name, inode: InodeNumber::new(12), file_type: FileType::File });
        let error = DirectoryPlan::new(&entries, &format, 1).unwrap_err();
        assert_eq!(error, DirError::Name { index: 1, length: name.len(), reason });
    }
}

#[test]
#[ignore = "check-full: four million names take half a minute in a debug build"]
fn a_directory_beyond_two_levels_of_index_is_refused() {
    let format = DirFormat {
        checksum_seed: Some(ChecksumSeed::NONE),
        hash_seed: HashSeed::default(),
        hash_sign: HashSign::Signed,
    };
    let mut random = fastrand::Rng::with_seed(9);
    let text: Vec<u8> = (0..4_000_255).map(|_| random.u8(b'a'..=b'z')).collect();
    let entries: Vec<DirEntry<'_>> = text
        .windows(255)
        .map(|name| DirEntry { name, inode: InodeNumber::new(12), file_type: FileType::File })
        .collect();
    // 15 names of 264 bytes fit a leaf, 12 when it keeps a fifth free; the index reaches 507 * 510 leaves.
    let reach = 507 * 510;
    assert_eq!(DirectoryPlan::new(&entries[..12 * reach], &format, 1).unwrap().blocks, 1 + 507 + 258_570);
    assert!(DirectoryPlan::new(&entries[..15 * reach], &format, 1).is_ok());
    let error = DirectoryPlan::new(&entries[..=15 * reach], &format, 1).unwrap_err();
    assert_eq!(error, DirError::TooLarge { entries: 15 * reach + 1, leaves: reach + 1, limit: reach });
}
