//! What we write, others extract.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fastrand::Rng;

use super::disk::{assert_same, scan};
use super::sample::{Sample, random, write};
use crate::support::{needs, needs_root, scratch, shell};
use oci2ext4::meta::{Device, Entry, Metadata, Named, NodeKind, Timestamp, Xattr, Xattrs};
use oci2ext4::tar::*;

/// Random members that a file system can hold, each below a directory of its own.
fn tree(rng: &mut Rng, n: usize) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    for i in 0..n {
        let mut s = random(rng);
        s.path.truncate(3000);
        s.path = [format!("{i:03}/").as_bytes(), s.path.trim_ascii_end()].concat();
        while s.path.last() == Some(&b'/') {
            s.path.pop();
        }
        let dots = |name: &[u8]| matches!(name, b"" | b"." | b"..");
        if s.path.split(|&b| b == b'/').any(dots) {
            continue;
        }
        let files: Vec<_> = samples.iter().filter(|s| s.entry == Entry::Node(NodeKind::File(()))).collect();
        let device = |d: Device| Device { major: d.major & 0xfff, minor: d.minor & 0xf_ffff };
        s.entry = match s.entry {
            Entry::HardLink(_) if files.is_empty() => Entry::Node(NodeKind::Fifo),
            Entry::HardLink(_) => {
                let target = files[rng.usize(..files.len())];
                (s.meta, s.xattrs) = (target.meta, target.xattrs.clone()); // as it is for a name of one inode
                Entry::HardLink(target.path.clone().into())
            }
            Entry::Node(NodeKind::Symlink(target)) => {
                s.meta.mode = 0o777;
                Entry::Node(NodeKind::Symlink(target[..target.len().min(3000)].into()))
            }
            // Overlayfs takes 0/0 for a whiteout, and some kernels refuse to make such devices.
            Entry::Node(NodeKind::CharDevice(d)) => {
                Entry::Node(NodeKind::CharDevice(device(Device { minor: d.minor | 1, ..d })))
            }
            Entry::Node(NodeKind::BlockDevice(d)) => {
                Entry::Node(NodeKind::BlockDevice(device(Device { minor: d.minor | 1, ..d })))
            }
            entry => entry,
        };
        if s.entry == Entry::Node(NodeKind::Directory) {
            s.path.push(b'/');
        }
        s.meta.uid &= 0x7fff_ffff; // the id of 2^32-1 is "keep it" for chown(2)
        s.meta.gid &= 0x7fff_ffff;
        s.meta.mtime.secs = s.meta.mtime.secs.rem_euclid(17_000_000_000) - 2_147_483_000; // ext4's range
        if !matches!(s.entry, Entry::Node(NodeKind::File(()) | NodeKind::Directory) | Entry::HardLink(_)) {
            s.xattrs = Xattrs::NONE; // user.* is for files and directories
        }
        if s.xattrs.iter().map(|x| x.name.len() + x.value.len()).sum::<usize>() > 3000 {
            s.xattrs = Xattrs::new(s.xattrs.iter().take(1).collect());
        }
        if matches!(s.entry, Entry::Node(NodeKind::File(()) | NodeKind::Directory)) && rng.u8(..4) == 0 {
            let id = rng.u32(..1 << 31);
            let mut list: Vec<_> = s.xattrs.iter().collect();
            let text = format!("user::rw-,user:{id}:r-x:{id},group::r--,mask::rwx,other::--x");
            let value: Box<[u8]> = acl::parse_text(text.as_bytes()).unwrap().unwrap().to_xattr().into();
            if s.entry == Entry::Node(NodeKind::Directory) {
                list.push(Xattr { name: b"system.posix_acl_default", value: &value });
            }
            list.push(Xattr { name: b"system.posix_acl_access", value: &value });
            s.meta.mode = s.meta.mode & 0o7000 | 0o671;
            s.xattrs = Xattrs::new(list);
        }
        samples.push(s);
    }
    samples
}

/// What must stand on disk: each inode's first name, in the order of a walk, is the file.
fn on_disk(samples: &[Sample], keep: impl Fn(&Xattr<&[u8]>) -> bool) -> Vec<Sample> {
    let mut inodes: HashMap<Vec<u8>, Sample> = HashMap::new();
    let mut out: Vec<Sample> = samples.to_vec();
    out.sort_by(|a, b| a.path.cmp(&b.path));
    for s in &mut out {
        s.sparse = None;
        s.xattrs = Xattrs::new(s.xattrs.iter().filter(|x| keep(x)).collect());
        if s.entry == Entry::Node(NodeKind::File(())) {
            inodes.insert(s.path.clone(), s.clone());
        }
        if let Entry::HardLink(target) = &s.entry {
            let Sample { meta, xattrs, .. } = inodes[&**target].clone();
            (s.meta, s.xattrs) = (meta, xattrs);
        }
    }
    out
}

fn extract(archive: &[u8], command: &str, environment: &[(&str, &str)]) -> Vec<Sample> {
    needs_root("extract owners and devices");
    needs(&["bsdtar", "python3", "tar"]);
    let dir = scratch();
    let file = dir.path().join("a.tar");
    fs::write(&file, archive).unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let script = format!("set -e; cd \"$2\"; {command} 2>&1");
    let ran = environment.iter().fold(shell(&script), |shell, (name, value)| shell.env(name, value));
    let ran = ran.arg("sh").arg(&file).arg(&out).run().succeeds();
    let said = String::from_utf8_lossy(&ran.stdout);
    // GNU tar does not know what bsdtar needs for names that are not UTF-8 or have an `=`; and it wonders at times far
    // from now, in words with the member's name, whatever lines that has.
    let expected = |line: &str| line.contains("keyword 'hdrcharset'") || line.contains("keyword 'LIBARCHIVE.xattr.");
    let is_gnu = command.starts_with("tar");
    let lines = said.lines().filter(|line| !is_gnu || line.starts_with("tar: Ignoring"));
    let unexpected: Vec<_> = lines.filter(|line| !expected(line)).collect();
    assert!(unexpected.is_empty(), "{command}: {unexpected:#?}");
    scan_members(&out)
}

/// The scan without the directories that only came into being as parents.
fn scan_members(root: &Path) -> Vec<Sample> {
    let mut all = scan(root);
    let paths: Vec<_> = all.iter().map(|s| s.path.clone()).collect();
    let is_parent = |path: &[u8]| {
        let next = paths.partition_point(|p| p.as_slice() <= path);
        paths.get(next).is_some_and(|p| p.starts_with(path))
    };
    all.retain(|s| s.entry != Entry::Node(NodeKind::Directory) || !is_parent(&s.path));
    all
}

/// Whether GNU tar reads the name in a `SCHILY.xattr.` keyword as it stands.
fn is_plain(name: &[u8]) -> bool {
    !name.contains(&b'=') && !name.windows(3).any(|code| code == b"%3D" || code == b"%25")
}

#[test]
fn gnu_tar_extracts_what_we_write() {
    for seed in 0..3 {
        let samples = tree(&mut Rng::with_seed(seed), 80);
        let command = "tar --xattrs --xattrs-include='*' --acls --numeric-owner -xpf \"$1\"";
        let got = extract(&write(&samples), command, &[("LC_ALL", "C")]);
        // GNU tar does not know the only records that hold such names for bsdtar.
        assert_same(&got, &on_disk(&samples, |x| is_plain(x.name)), &format!("GNU tar, seed {seed}"));
    }
}

#[test]
fn bsdtar_extracts_what_we_write() {
    for (seed, locale) in [(10, "C"), (11, "C.UTF-8")] {
        let mut samples = tree(&mut Rng::with_seed(seed), 80);
        for s in &mut samples {
            if s.meta.mtime.secs < 0 {
                s.meta.mtime.nanos = 0; // it takes -1.25 for -0.75
            }
        }
        let command = "bsdtar --xattrs --acls --numeric-owner -xpf \"$1\"";
        let got = extract(&write(&samples), command, &[("LC_ALL", locale)]);
        assert_same(&got, &on_disk(&samples, |_| true), &format!("bsdtar, seed {seed}, {locale}"));
    }
}

#[test]
fn python_extracts_what_we_write() {
    for seed in 20..22 {
        let mut samples = tree(&mut Rng::with_seed(seed), 80);
        // Its times are floating point numbers, it knows neither xattrs nor any name that is not UTF-8.
        for s in &mut samples {
            (s.meta.mtime, s.xattrs) = (Timestamp::EPOCH, Xattrs::NONE);
        }
        let names = |s: &Sample| match &s.entry {
            Entry::HardLink(to) | Entry::Node(NodeKind::Symlink(to)) => [&*s.path, to].concat(),
            _ => s.path.clone(),
        };
        samples.retain(|s| std::str::from_utf8(&names(s)).is_ok());
        let script = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(numeric_owner=True)";
        let command = format!("python3 -c '{script}' \"$1\"");
        let mut got = extract(&write(&samples), &command, &[("LC_ALL", "C.UTF-8")]);
        for s in &mut got {
            if matches!(s.entry, Entry::Node(NodeKind::Symlink(_))) {
                s.meta.mtime = Timestamp::EPOCH; // it leaves those alone
            }
        }
        assert_same(&got, &on_disk(&samples, |_| true), &format!("tarfile, seed {seed}"));
    }
}

#[test]
fn all_list_files_beyond_8_gib() {
    let dir = scratch();
    let path = dir.path().join("a.tar");
    let file = fs::File::create(&path).unwrap();
    let (dense, holes) = ((9 << 30) + 1, 10 << 40);
    let segments = [Segment { offset: 3 << 40, len: 512 }];
    let kinds = [("dense", dense, None), ("holes", holes, Some(&segments[..])), ("last", 3, None)];
    let mut at = 0;
    for (name, size, sparse) in kinds {
        let entry = Entry::Node(NodeKind::File(FileLayout { size, sparse }));
        let meta = Metadata::IMPLIED_DIRECTORY;
        let mut header = Vec::new();
        let member = Named { path: name.as_bytes(), entry, meta, xattrs: Xattrs::NONE };
        let body = encode(&member, &mut header).unwrap();
        file.write_all_at(&header, at).unwrap();
        at += header.len() as u64 + body.len() + body.padding as u64;
    }
    file.set_len(at + 1024).unwrap();
    let script = "import sys, tarfile; [print(m.size, m.name) for m in tarfile.open(sys.argv[1])]";
    for list in ["tar -tvf", "bsdtar -tvf", &format!("python3 -c '{script}'")] {
        let ran = shell(&format!("{list} \"$1\"")).arg("sh").arg(&path).run().succeeds();
        let listing = String::from_utf8_lossy(&ran.stdout);
        let lines: Vec<_> = listing.lines().collect();
        assert_eq!(lines.len(), 3, "{list}: {listing}");
        for (line, (name, size, _)) in lines.iter().zip(kinds) {
            assert!(line.contains(&size.to_string()) && line.ends_with(name), "{list}: {line}");
        }
    }
}
