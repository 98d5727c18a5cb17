//! Memory an entry: at most 300 bytes beyond names and values held once, of every kind of entry (S5).

use std::fs;
use std::ops::Add;

use super::tars::{each, extension, file, header, member, record, sealed};
use super::{FLATTEN, PACK, cost};
use crate::support::scratch;

/// Bytes an entry beyond its names and values.
const ALLOWED: f64 = 300.0;

/// One more, or some more, entries, `COUNT` of which are measured after so many that all buffers are there.
type Kind = fn(usize) -> Vec<u8>;
const FIRST: usize = 20_000;
const COUNT: usize = 60_000;
/// How many buffers are in use at once is chance: what seems too much is measured so often, and the least counts.
const ROUNDS: usize = 3;

/// How many entries, and bytes of names, targets and values that no other has.
const KINDS: &[(&str, usize, usize, Kind)] = &[
    ("files", 1, 8, |at| file(&name(at))),
    ("files with owners and times", 1, 8, |at| {
        let mut header = header(&name(at), b'0', "", 0);
        header[108..116].copy_from_slice(format!("{at:07o}\0").as_bytes());
        header[136..148].copy_from_slice(format!("{:011o}\0", at * 777).as_bytes());
        sealed(header)
    }),
    ("files with content", 1, 8, |at| member(&name(at), b'0', "", b"x")),
    ("a value for each", 1, 8 + 6 + 8, |at| with(&[("SCHILY.xattr.user.a", text(at, 8))], at)),
    ("four values for each", 1, 8 + 4 * (6 + 8), |at| {
        let value = text(at, 8);
        let keywords = ["a", "b", "c", "d"].map(|name| format!("SCHILY.xattr.user.{name}"));
        with(&keywords.each_ref().map(|keyword| (&**keyword, value.clone())), at)
    }),
    ("a value that no inode has room for", 1, 8 + 6 + 200, |at| with(&[("SCHILY.xattr.user.a", text(at, 200))], at)),
    ("a value for all", 1, 8, |at| with(&[("SCHILY.xattr.security.selinux", "system_u:object_r:usr_t:s0".into())], at)),
    ("an ACL for each", 1, 8 + 23 + 44, |at| {
        with(&[("SCHILY.acl.access", format!("user::rw-,user:{}:r--,group::r--,mask::r--,other::r--", at + 1000))], at)
    }),
    ("symlinks", 1, 8 + 1000, |at| member(&name(at), b'2', &text(at, 1000), b"")),
    ("long names", 1, 200, |at| file(&format!("d/{}", text(at, 200)))),
    ("directories", 1, 8, |at| member(&format!("{}/", name(at)), b'5', "", b"")),
    ("implied directories", 2, 8, |at| file(&format!("{}/f", name(at)))),
    ("devices", 1, 8, |at| member(&name(at), b'3', "", b"")),
    ("pairs of hard links", 2, 16, |at| {
        [file(&name(at)), member(&format!("l{}", name(at)), b'1', &name(at), b"")].concat()
    }),
    ("hard links before their targets", 2, 16, |at| {
        [member(&format!("l{}", name(at)), b'1', &name(at), b""), file(&name(at))].concat()
    }),
    ("sparse files", 1, 8, |at| {
        let fields = [("major", "1"), ("minor", "0"), ("name", &*name(at)), ("realsize", "40960")];
        let records = fields.map(|(field, value)| record(&format!("GNU.sparse.{field}"), value.as_bytes())).concat();
        let mut data = b"2\n4096\n1\n8192\n1\n".to_vec();
        data.resize(512, 0);
        [extension(b'x', &records), member(&name(at), b'0', "", &[&data[..], b"xy"].concat())].concat()
    }),
    ("whiteouts", 1, 8, |at| {
        let name = name(at);
        let (directory, name) = name.split_once('/').unwrap();
        file(&format!("{directory}/.wh.{name}"))
    }),
];

#[test]
fn an_entry_takes_at_most_300_bytes() {
    let scratch = scratch();
    let mut failures = Vec::new();
    fs::write(scratch.path().join("one.tar"), [file("one"), vec![0; 1024]].concat()).unwrap();
    for (what, entries, texts, kind) in KINDS {
        let [few, many] = [FIRST, FIRST + COUNT].map(|n| {
            let path = scratch.path().join(format!("{n}.tar"));
            fs::write(&path, [each(n, kind), vec![0; 1024]].concat()).unwrap();
            format!("{n}.tar")
        });
        let mut commands = vec![format!("{FLATTEN} -l TAR"), format!("{PACK} TAR")];
        if matches!(*what, "files" | "long names") {
            // Below what goes out, for which the tree is copied (F17).
            commands.push(format!("{FLATTEN} --from 1 -l TAR -l one.tar"));
        }
        for command in commands {
            let peaks = || [&few, &many].map(|tar| cost(scratch.path(), &command.replace("TAR", tar)).kib);
            let bytes = |[few, many]: [f64; 2]| (many - few) * 1024.0 / COUNT as f64 - *texts as f64;
            let mut least = peaks();
            for _ in 1..ROUNDS {
                if bytes(least) > ALLOWED * *entries as f64 {
                    let more = peaks();
                    least = [least[0].min(more[0]), least[1].min(more[1])];
                }
            }
            let bytes = bytes(least);
            let line = format!("{what}, {command}: {bytes:.0} bytes for {entries}");
            println!("{line}");
            if bytes > ALLOWED * *entries as f64 {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Directories are read without their bytes being counted, so the path that leads to one is no reason to take more.
#[test]
fn an_entry_deep_in_a_directory_takes_at_most_300_bytes() {
    const FILES: usize = 12_000;
    let scratch = scratch();
    let peak = |what: &str| cost(scratch.path(), &format!("{FLATTEN} -l {what}")).kib;
    let add = |what: &str, below: &str| {
        let directory = scratch.path().join(what).join(below);
        fs::create_dir_all(&directory).unwrap();
        for at in 0..FILES {
            let path = directory.join(format!("{at:08}"));
            match (what, at % 2) {
                ("directories", _) => fs::create_dir(path).unwrap(),
                ("links", 1) => fs::hard_link(directory.join(format!("{:08}", at - 1)), path).unwrap(),
                _ => fs::write(path, "").unwrap(),
            }
        }
    };
    for what in ["files", "links", "directories"] {
        // First some at the top, then as many more deep down.
        add(what, "");
        let shallow = peak(what);
        add(what, &"d".repeat(200).add("/").repeat(15));
        let bytes = |_| (peak(what) - shallow) * 1024.0 / FILES as f64;
        let mut rounds = (0..ROUNDS).map(bytes).inspect(|bytes| println!("{what}: {bytes:.0} bytes an entry"));
        assert!(rounds.any(|bytes| bytes <= ALLOWED), "{what}: more than {ALLOWED} bytes an entry");
    }
}

/// A name of eight bytes in a directory of 500.
fn name(at: usize) -> String {
    format!("d{}/{at:08}", at / 500)
}

/// A text of `len` bytes that shares nothing with the one before.
fn text(at: usize, len: usize) -> String {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{mixed:016x}").repeat(len.div_ceil(16))[..len].to_owned()
}

/// A file with records of its own.
fn with(records: &[(&str, String)], at: usize) -> Vec<u8> {
    let records: Vec<u8> = records.iter().flat_map(|(keyword, value)| record(keyword, value.as_bytes())).collect();
    [extension(b'x', &records), file(&name(at))].concat()
}
