//! Flattened, layers leave no name of a whiteout behind and come in canonical order (T1); flattened again nothing changes,
//! and the lower layers flattened on their own may stand in for them (T4).

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use oci2ext4::flatten::{Options, flatten};
use oci2ext4::meta::{Entry, Named, NodeKind};
use oci2ext4::tar::{END_MARKER, FileLayout, Reader, encode};

use super::layers::{Member, What, parse};

/// Threads and system calls take most of the time, so that longer inputs find less.
const LONGEST: usize = 2000;

pub fn check(bytes: &[u8]) {
    let layers = parse(&bytes[..bytes.len().min(LONGEST)]);
    let Some(tars) = layers.iter().map(|layer| tar(layer)).collect::<Option<Vec<_>>>() else { return };
    let Some(flat) = flattened(&tars.iter().collect::<Vec<_>>()) else { return };
    canonical(&flat);
    assert!(flattened(&[&flat]).as_ref() == Some(&flat), "flattening the output gives something else");
    for cut in 1..tars.len() {
        let (lower, upper) = tars.split_at(cut);
        let lower = flattened(&lower.iter().collect::<Vec<_>>()).expect("all of them could be flattened");
        let stack = [&lower].into_iter().chain(upper).collect::<Vec<_>>();
        assert!(flattened(&stack).as_ref() == Some(&flat), "{cut} layers flattened beforehand make a difference");
    }
}

fn canonical(tar: &[u8]) {
    let mut reader = Reader::new(tar);
    let mut last: Option<Vec<Vec<u8>>> = None;
    while let Some(member) = reader.next_member().expect("our own tar") {
        let path = member.path.strip_suffix(b"/").unwrap_or(&member.path);
        let names: Vec<_> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        assert_eq!(path.len() < member.path.len(), matches!(member.entry, Entry::Node(NodeKind::Directory)));
        match &last {
            None => assert_eq!(path, b".", "the root comes first"),
            Some(last) => {
                assert!(names.iter().all(|name| !name.is_empty() && !name.starts_with(b".wh.")), "{member:?}");
                assert!(path != b".." && *last == [b"."] || *last < names, "{member:?} is out of order");
            }
        }
        last = Some(names);
    }
}

/// The layer as a tar; `None` if no tar can hold it.
fn tar(members: &[Member]) -> Option<Vec<u8>> {
    let mut archive = Vec::new();
    for member in members {
        let (mut path, mut body) = (member.name.clone(), &[][..]);
        let entry = match &member.what {
            What::Directory => Entry::Node(NodeKind::Directory),
            What::File(content) => {
                body = content;
                Entry::Node(NodeKind::File(FileLayout { size: content.len() as u64, sparse: None }))
            }
            What::Symlink(target) => Entry::Node(NodeKind::Symlink(&**target)),
            What::Link(target) => Entry::HardLink(&**target),
            What::Fifo => Entry::Node(NodeKind::Fifo),
        };
        // Where a file's name ends in a slash, old tars mean a directory.
        while member.what != What::Directory && path.ends_with(b"/") {
            path.pop();
        }
        let named = Named { path: &path, entry, meta: member.meta(), xattrs: member.xattrs() };
        let padding = encode(&named, &mut archive).ok()?.padding;
        archive.extend_from_slice(body);
        archive.resize(archive.len() + padding, 0);
    }
    archive.extend_from_slice(&END_MARKER);
    Some(archive)
}

/// What `oci-flatten` makes of layers; `None` when it refuses them.
fn flattened(layers: &[&Vec<u8>]) -> Option<Vec<u8>> {
    let files: Vec<File> = layers.iter().map(|tar| in_memory(tar)).collect();
    let path = |file: &File| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let options =
        Options { layers: files.iter().map(|file| path(file).into()).collect(), jobs: 1, ..Options::default() };
    let tree = flatten(None::<&[u8]>, &options).ok()?;
    let mut out = Vec::new();
    tree.write_to(&mut out).expect("what was merged can be written");
    Some(out)
}

fn in_memory(bytes: &[u8]) -> File {
    let file = rustix::fs::memfd_create("layer", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd_create");
    let mut file = File::from(file);
    file.write_all(bytes).expect("memory");
    file
}
