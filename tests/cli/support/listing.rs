//! What stands on a disk, as [`Item`]s in canonical order.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oci2ext4::sys::device_numbers;
use rustix::fs::{FileType, lgetxattr, llistxattr};

use super::names::names_below;
use super::script::{Item, What};
use super::snapshot::file_type;

/// From so many zeros in a row on, a file's content is shown as pieces.
const HOLE: usize = 512;

/// Everything below `root` and `root` itself, one line each, sorted by component, parents first.
pub fn listing(root: &Path) -> String {
    let mut first_names = HashMap::new();
    let names = [Vec::new()].into_iter().chain(names_below(root));
    names.map(|name| item(root, &name, &mut first_names).line() + "\n").collect()
}

fn item(root: &Path, name: &[u8], first_names: &mut HashMap<(u64, u64), Vec<u8>>) -> Item {
    let path = if name.is_empty() { root.into() } else { root.join(std::ffi::OsStr::from_bytes(name)) };
    let stat = fs::symlink_metadata(&path).expect("lstat");
    let device = device_numbers(stat.rdev());
    let mut shown = name.to_vec();
    let mut what = match file_type(&stat) {
        FileType::Directory => {
            if shown.is_empty() {
                shown.push(b'.');
            }
            shown.push(b'/');
            What::Dir
        }
        FileType::RegularFile => content(fs::read(&path).expect("content")),
        FileType::Symlink => What::Symlink(fs::read_link(&path).expect("target").into_os_string().into_vec()),
        FileType::CharacterDevice => What::Char(device.0, device.1),
        FileType::BlockDevice => What::Block(device.0, device.1),
        FileType::Fifo => What::Fifo,
        other => panic!("{}: {other:?}", path.display()),
    };
    if what != What::Dir && stat.nlink() > 1 {
        let first = first_names.entry((stat.dev(), stat.ino())).or_insert_with(|| name.to_vec());
        if first != name {
            what = What::Link(first.clone());
        }
    }
    let mut item = Item::new(shown, what);
    item.mode = stat.mode() & 0o7777;
    item.owner = (stat.uid(), stat.gid());
    item.mtime = (stat.mtime(), stat.mtime_nsec() as u32);
    item.xattrs = xattrs(&path);
    item
}

fn content(bytes: Vec<u8>) -> What {
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|byte| *byte != 0).map(|offset| at + offset) {
        let mut end = start;
        while let Some(more) = bytes[end..].iter().take(HOLE).rposition(|byte| *byte != 0) {
            end += more + 1;
        }
        pieces.push((start as u64, bytes[start..end].to_vec()));
        at = end;
    }
    let has_hole = match &pieces[..] {
        [] => bytes.len() >= HOLE,
        [(start, piece), ..] => *start as usize >= HOLE || pieces.len() > 1 || piece.len() + HOLE <= bytes.len(),
    };
    if has_hole { What::Sparse(bytes.len() as u64, pieces) } else { What::File(bytes) }
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut buffer = vec![0u8; 1 << 16];
    let len = llistxattr(path, &mut buffer[..]).expect("llistxattr");
    let names = buffer[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut found: Vec<_> = names
        .map(|name| {
            let mut value = vec![0u8; 1 << 16];
            let len = lgetxattr(path, name, &mut value[..]).expect("lgetxattr");
            (name.to_vec(), value[..len].to_vec())
        })
        .collect();
    found.sort_unstable();
    found
}
