use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// All names below `root`, relative to it, sorted by component: parents first, and the first name of an inode is the
/// first in the canonical order (T1) too. The root itself is not among them.
pub fn names_below(root: &Path) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut directories = vec![Vec::new()];
    while let Some(directory) = directories.pop() {
        let path = root.join(OsStr::from_bytes(&directory));
        for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
            let entry = entry.expect("directory entry");
            let mut name: Vec<u8> = directory.clone();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend(entry.file_name().into_vec());
            if entry.file_type().expect("type").is_dir() {
                directories.push(name.clone());
            }
            names.push(name);
        }
    }
    names.sort_by(|a, b| a.split(|c| *c == b'/').cmp(b.split(|c| *c == b'/')));
    names
}
