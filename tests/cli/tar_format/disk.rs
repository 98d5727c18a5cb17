//! Samples as files on disk, and back.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::sample::Sample;
use oci2ext4::meta::{Device, Entry, Metadata, NodeKind, Timestamp, Xattr, Xattrs};
use oci2ext4::tar::*;

/// Makes the samples' files below `root`; parents that are no samples come into being.
pub(super) fn make(root: &Path, samples: &[Sample]) {
    let at = |path: &[u8]| root.join(OsStr::from_bytes(path));
    for s in samples {
        let path = at(&s.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let node = |kind: FileType, device: Device| {
            let device = rustix::fs::makedev(device.major, device.minor);
            rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), device).expect("device nodes need root");
        };
        match &s.entry {
            Entry::Node(NodeKind::Directory) => fs::create_dir_all(&path).unwrap(),
            Entry::Node(NodeKind::File(())) => {
                let file = fs::File::create_new(&path).unwrap();
                file.set_len(s.content.len() as u64).unwrap();
                let whole = [Segment { offset: 0, len: s.content.len() as u64 }];
                for &Segment { offset, len } in s.sparse.as_deref().unwrap_or(&whole) {
                    let (from, len) = (usize::try_from(offset).unwrap(), usize::try_from(len).unwrap());
                    file.write_all_at(&s.content[from..from + len], offset).unwrap();
                }
            }
            Entry::HardLink(target) => {
                fs::hard_link(at(target), &path).unwrap();
                continue;
            }
            Entry::Node(NodeKind::Symlink(target)) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Entry::Node(NodeKind::CharDevice(d)) => node(FileType::CharacterDevice, *d),
            Entry::Node(NodeKind::BlockDevice(d)) => node(FileType::BlockDevice, *d),
            Entry::Node(NodeKind::Fifo) => node(FileType::Fifo, Device { major: 0, minor: 0 }),
        }
        lchown(&path, Some(s.meta.uid), Some(s.meta.gid)).expect("foreign owners need root");
        if !matches!(s.entry, Entry::Node(NodeKind::Symlink(_))) {
            fs::set_permissions(&path, fs::Permissions::from_mode(u32::from(s.meta.mode))).unwrap();
        }
        for x in s.xattrs.iter() {
            let name = OsStr::from_bytes(x.name);
            rustix::fs::lsetxattr(&path, name, x.value, XattrFlags::empty()).expect("TMPDIR must have xattrs");
        }
    }
    for s in samples.iter().rev() {
        let time = Timespec { tv_sec: s.meta.mtime.secs, tv_nsec: s.meta.mtime.nanos.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, at(&s.path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// What stands below `root`, sorted by path; directories end with a slash. Of an inode's names the first is the file.
pub(super) fn scan(root: &Path) -> Vec<Sample> {
    let mut paths = vec![Vec::new()];
    let mut at = 0;
    while at < paths.len() {
        let path: &Vec<u8> = &paths[at];
        at += 1;
        if !path.is_empty() && path.last() != Some(&b'/') {
            continue;
        }
        let children = fs::read_dir(root.join(OsStr::from_bytes(path))).unwrap().map(|child| {
            let child = child.unwrap();
            let slash: &[u8] = if child.file_type().unwrap().is_dir() { b"/" } else { b"" };
            [path, child.file_name().as_bytes(), slash].concat()
        });
        let children: Vec<_> = children.collect();
        paths.extend(children);
    }
    paths.sort();
    let mut names = HashMap::new();
    paths.into_iter().filter(|path| !path.is_empty()).map(|path| sample(root, path, &mut names)).collect()
}

fn sample(root: &Path, path: Vec<u8>, names: &mut HashMap<u64, Vec<u8>>) -> Sample {
    let on_disk = root.join(OsStr::from_bytes(path.strip_suffix(b"/").unwrap_or(&path)));
    let stat = fs::symlink_metadata(&on_disk).unwrap();
    let device = Device { major: rustix::fs::major(stat.rdev()), minor: rustix::fs::minor(stat.rdev()) };
    let kind = stat.file_type();
    let first = names.entry(stat.ino()).or_insert_with(|| path.clone());
    let entry = match () {
        () if *first != path => Entry::HardLink(first.clone().into()),
        () if kind.is_dir() => Entry::Node(NodeKind::Directory),
        () if kind.is_symlink() => {
            Entry::Node(NodeKind::Symlink(fs::read_link(&on_disk).unwrap().as_os_str().as_bytes().into()))
        }
        () if kind.is_char_device() => Entry::Node(NodeKind::CharDevice(device)),
        () if kind.is_block_device() => Entry::Node(NodeKind::BlockDevice(device)),
        () if kind.is_fifo() => Entry::Node(NodeKind::Fifo),
        () => Entry::Node(NodeKind::File(())),
    };
    let content = if entry == Entry::Node(NodeKind::File(())) { fs::read(&on_disk).unwrap() } else { Vec::new() };
    let meta = Metadata {
        mode: u16::try_from(stat.mode() & 0o7777).unwrap(),
        uid: stat.uid(),
        gid: stat.gid(),
        mtime: Timestamp { secs: stat.mtime(), nanos: u32::try_from(stat.mtime_nsec()).unwrap() },
    };
    Sample { xattrs: xattrs(&on_disk), path, entry, meta, content, sparse: None }
}

fn xattrs(path: &Path) -> Xattrs {
    let mut names = vec![0; 65_536];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..len].split(|&b| b == 0).filter(|name| !name.is_empty());
    let get = |name: &[u8]| {
        let mut value = vec![0; 65_536];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
        Xattr { name: name.to_vec(), value: value[..len].to_vec() }
    };
    Xattrs::new(names.map(get).collect())
}

/// Asserts that two trees are the same, in words that name the difference.
pub(super) fn assert_same(got: &[Sample], wanted: &[Sample], what: &str) {
    for (got, wanted) in got.iter().zip(wanted) {
        let name = wanted.path.escape_ascii();
        assert_eq!(got.path.escape_ascii().to_string(), name.to_string(), "{what}");
        assert!(got.content == wanted.content, "{what}: content of {name}");
        let plain = |s: &Sample| Sample { content: Vec::new(), ..s.clone() };
        assert_eq!(plain(got), plain(wanted), "{what}: {name}");
    }
    assert_eq!(got.len(), wanted.len(), "{what}: number of members");
}
