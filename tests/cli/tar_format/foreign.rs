//! What others write, we read: one tree as every dialect of every tool that is at hand.

use std::fs;

use super::disk::{assert_same, make};
use super::sample::{Sample, read};
use crate::support::{needs, needs_root, scratch, shell};
use oci2ext4::meta::{Device, Entry, Metadata, NodeKind, Timestamp, Xattr, Xattrs};
use oci2ext4::tar::*;

/// The first dialect that can hold a member.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Needs {
    V7,
    Ustar,
    Gnu,
    Pax,
}

fn sample(path: &str, entry: Entry<()>) -> Sample {
    let mtime = Timestamp::from_secs(1_234_567_890);
    let mode = if matches!(entry, Entry::Node(NodeKind::Symlink(_))) { 0o777 } else { 0o640 };
    let meta = Metadata { mode, uid: 12, gid: 34, mtime };
    let content = if entry == Entry::Node(NodeKind::File(())) { path.repeat(100).into_bytes() } else { Vec::new() };
    Sample { path: path.into(), entry, meta, xattrs: Xattrs::NONE, content, sparse: None }
}

fn file(path: &str) -> Sample {
    sample(path, Entry::Node(NodeKind::File(())))
}

/// A file with `n` segments between holes, and a hole at its end.
fn holey(path: &str, n: usize) -> Sample {
    const STEP: usize = 65_536;
    let segments = (0..n).map(|i| Segment { offset: (STEP + i * 2 * STEP) as u64, len: STEP as u64 });
    let mut content = vec![0; 2 * STEP * n + STEP + 4096];
    for s in segments.clone() {
        let from = usize::try_from(s.offset).unwrap();
        content[from..from + STEP].fill(b'x');
    }
    Sample { content, sparse: Some(segments.collect()), ..file(path) }
}

fn all() -> Vec<(Needs, Sample)> {
    use Needs::{Gnu, Pax, Ustar, V7};
    let long = "l".repeat(60);
    let (deep, deeper) = (format!("{long}/{long}/name"), format!("{long}/{long}/{long}/{long}/{long}/name"));
    let xattrs = |list: &[(&str, &[u8])]| {
        let list = list.iter().map(|(name, value)| Xattr { name: name.as_bytes(), value });
        Xattrs::new(list.collect())
    };
    let acl = "user::rw-,user:0:rwx:0,user:54321:r--:54321,group::r--,mask::rwx,other::---";
    let acl = acl::parse_text(acl.as_bytes()).unwrap().unwrap().to_xattr();
    let at = |secs, nanos, sample: Sample| {
        let meta = Metadata { mtime: Timestamp { secs, nanos }, ..sample.meta };
        Sample { meta, ..sample }
    };
    let by = |uid, mode, sample: Sample| Sample { meta: Metadata { uid, mode, ..sample.meta }, ..sample };
    let device = Device { major: 259, minor: 70_000 };
    let not_utf8 = |sample: Sample| Sample { path: [&*sample.path, b"\xff\xfe"].concat(), ..sample };
    let folder = |uid, mode, name: &str, xattr| Sample {
        xattrs: xattrs(&[xattr]),
        ..by(uid, mode, sample(name, Entry::Node(NodeKind::Directory)))
    };
    vec![
        (V7, file("a")),
        (V7, Sample { content: Vec::new(), ..file("empty") }),
        (V7, by(0, 0o755, sample("d/", Entry::Node(NodeKind::Directory)))),
        (V7, by(0, 0o4755, file("d/setuid"))),
        (V7, Sample { content: vec![b'b'; 512 * 30], ..file("d/whole blocks") }),
        (V7, file("d/z")),
        (V7, sample("d/zz hard link", Entry::HardLink((*b"d/z").into()))),
        (V7, sample("link", Entry::Node(NodeKind::Symlink((*b"../somewhere else").into())))),
        (V7, not_utf8(file("raw"))),
        (Ustar, sample("dev-b", Entry::Node(NodeKind::BlockDevice(device)))),
        (Ustar, sample("dev-c", Entry::Node(NodeKind::CharDevice(device)))),
        (Ustar, sample("fifo", Entry::Node(NodeKind::Fifo))),
        (Ustar, file(&deep)),
        (Gnu, by(3_000_000_000, 0o600, file("far owner"))),
        (Gnu, at(-5_000_000, 0, file("old"))),
        (Gnu, at(9_876_543_210, 0, file("young"))),
        (Gnu, file(&deeper)),
        (Gnu, not_utf8(file(&format!("{deeper} raw")))),
        (Gnu, sample(&format!("{deeper} hard link"), Entry::HardLink(deeper.as_bytes().into()))),
        (Gnu, sample("far link", Entry::Node(NodeKind::Symlink(deeper.as_bytes().into())))),
        (Gnu, holey("holes 3", 3)),
        (Gnu, holey(&format!("{deeper} holes"), 3)),
        (Gnu, holey("holes 60", 60)),
        (Gnu, Sample { content: vec![0; 1 << 20], sparse: Some(vec![]), ..file("holes only") }),
        (Pax, at(1_600_000_000, 123_456_789, file("nanoseconds"))),
        (Pax, at(-1, 750_000_000, file("nanoseconds ago"))),
        (Pax, Sample { xattrs: xattrs(&[("user.\n", b"a\n\0=\xff"), ("user.empty", b"")]), ..file("xattr") }),
        (Pax, Sample { xattrs: xattrs(&[("trusted.x=y", b"1"), ("trusted.100%", b"2")]), ..file("xattr names") }),
        (Pax, by(0, 0o670, Sample { xattrs: xattrs(&[("system.posix_acl_access", &acl)]), ..file("acl") })),
        (Pax, folder(0, 0o750, "default acl/", ("system.posix_acl_default", &acl))),
    ]
}

struct Case {
    name: &'static str,
    /// A shell command: the archive's name is $1, the names to archive follow.
    command: String,
    holds: Needs,
    /// Whether it keeps holes.
    sparse: bool,
    /// What it does otherwise.
    but: fn(&mut Sample) -> bool,
}

/// Archives the tree with the command, reads it and compares.
fn check(case: &Case) {
    needs_root("make devices and foreign owners");
    needs(&["bsdtar", "python3", "tar"]);
    let mut samples: Vec<_> = all().into_iter().filter(|(needs, _)| *needs <= case.holds).map(|(_, s)| s).collect();
    samples.retain_mut(case.but);
    let dir = scratch();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    make(&tree, &samples);
    let archive = dir.path().join("a.tar");
    let names = samples.iter().map(|s| std::os::unix::ffi::OsStrExt::from_bytes(s.path.trim_ascii_end()));
    let names: Vec<&std::ffi::OsStr> = names.collect();
    let script = shell(&format!("set -e; archive=$1; shift; {}", case.command));
    let _ = script.arg("sh").arg(&archive).args(names).current_dir(&tree).run().succeeds();

    let (mut got, end) = read(&fs::read(&archive).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    assert_eq!(end, Some(End::Marker), "{}", case.name);
    // Incremental archives begin with the directories, and have what is below them once more.
    got.sort_by(|a, b| a.path.cmp(&b.path));
    got.dedup_by(|a, b| a.path == b.path);
    samples.sort_by(|a, b| a.path.cmp(&b.path));
    for (got, wanted) in got.iter_mut().zip(&mut samples) {
        if let Entry::HardLink(_) = got.entry {
            (got.meta, got.xattrs) = (wanted.meta, wanted.xattrs.clone());
        }
        if !case.sparse {
            wanted.sparse = None;
        }
        if let (Some(a), Some(b)) = (&got.sparse, &wanted.sparse) {
            // The file system may see data where we asked for a hole; data it must not miss.
            assert!(b.iter().all(|b| a.iter().any(|a| a.offset <= b.offset && a.offset + a.len >= b.offset + b.len)));
            got.sparse.clone_from(&wanted.sparse);
        }
    }
    assert_same(&got, &samples, case.name);
}

fn gnu(format: &'static str, holds: Needs, sparse: bool, options: &str) -> Case {
    let command = format!("tar --numeric-owner --no-recursion {options} -cf $archive -- \"$@\"");
    Case { name: format, command, holds, sparse, but: |_| true }
}

#[test]
fn gnu_tars_dialects() {
    check(&gnu("v7", Needs::V7, false, "--format=v7"));
    check(&gnu("ustar", Needs::Ustar, false, "--format=ustar"));
    check(&gnu("oldgnu", Needs::Gnu, false, "--format=oldgnu"));
    check(&gnu("gnu", Needs::Gnu, false, "--format=gnu"));
    check(&gnu("oldgnu sparse", Needs::Gnu, true, "--format=oldgnu --sparse"));
    check(&gnu("gnu sparse", Needs::Gnu, true, "--format=gnu --sparse"));
    check(&gnu("gnu incremental", Needs::Gnu, true, "--format=gnu --sparse --incremental"));
    check(&gnu("gnu label", Needs::Gnu, true, "--format=gnu --sparse --label=LABEL -b 1"));
}

#[test]
fn gnu_tars_pax() {
    let xattrs = "--format=posix --acls --xattrs --xattrs-include='*'";
    check(&gnu("posix", Needs::Pax, false, xattrs));
    check(&gnu("posix label", Needs::Pax, false, &format!("{xattrs} --label=LABEL")));
    for version in ["0.0", "0.1", "1.0"] {
        let case = gnu("posix sparse", Needs::Pax, true, &format!("{xattrs} --sparse --sparse-version={version}"));
        check(&Case { name: version, ..case });
    }
}

#[test]
fn gnu_tars_acl_text_alone() {
    // Names that the system knows stand there without numbers; root's is the same everywhere.
    let case = gnu("acls", Needs::Pax, false, "--format=posix --acls");
    check(&Case { but: |s| s.xattrs.is_empty() || s.path.ends_with(b"acl"), ..case });
}

fn bsd(format: &'static str, holds: Needs, sparse: bool) -> Case {
    let command = format!("bsdtar --numeric-owner --acls --xattrs -n --format={format} -cf $archive -- \"$@\"");
    Case { name: format, command, holds, sparse, but: |_| true }
}

#[test]
fn bsdtars_dialects() {
    check(&bsd("v7", Needs::V7, false));
    check(&bsd("ustar", Needs::Ustar, false));
    // Its GNU dialect knows no base-256 times.
    check(&Case { but: |s| (0..1 << 33).contains(&s.meta.mtime.secs), ..bsd("gnutar", Needs::Gnu, false) });
    // Its negative times do not mean what POSIX says.
    check(&Case { but: |s| s.path != b"nanoseconds ago", ..bsd("pax", Needs::Pax, true) });
}

fn python(format: &'static str, holds: Needs) -> Case {
    let script = "import sys, tarfile
t = tarfile.open(sys.argv[1], 'w', format=getattr(tarfile, sys.argv[2]))
for name in sys.argv[3:]:
    t.add(name, recursive=False)
t.close()";
    let command = format!("python3 -c \"{script}\" $archive {format} \"$@\"");
    Case { name: format, command, holds, sparse: false, but: |_| true }
}

#[test]
fn pythons_dialects() {
    check(&python("USTAR_FORMAT", Needs::Ustar));
    // It writes no xattrs, times as floating point numbers, and in GNU's dialect no negative ones.
    check(&Case { but: |s| s.meta.mtime.secs >= 0, ..python("GNU_FORMAT", Needs::Gnu) });
    let but = |s: &mut Sample| {
        s.meta.mtime.nanos = s.meta.mtime.nanos / 500_000_000 * 500_000_000;
        s.xattrs.is_empty()
    };
    check(&Case { but, ..python("PAX_FORMAT", Needs::Pax) });
}
