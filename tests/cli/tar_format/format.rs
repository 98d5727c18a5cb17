//! Blocks made by hand, for what no tool at hand writes.

use super::sample::{Sample, read};
use oci2ext4::meta::{Device, Entry, Metadata, NodeKind, Timestamp, Xattrs};
use oci2ext4::tar::*;

/// A header block under construction; ustar unless changed.
#[derive(Clone)]
pub(super) struct Raw([u8; BLOCK]);

impl Raw {
    pub(super) fn new(name: &str, flag: u8, size: usize) -> Self {
        let mut raw = Self([0; BLOCK]);
        raw.put(0, name.as_bytes());
        raw.put(100, b"0000644\x000000001\x000000002\0");
        raw.put(124, format!("{size:011o}\x0000000000003\0").as_bytes());
        raw.put(156, &[flag]);
        raw.put(257, b"ustar\x0000");
        raw.put(329, b"0000000\x000000000\0");
        raw
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn gnu(mut self) -> Self {
        self.put(257, b"ustar  \0");
        self
    }

    fn v7(mut self) -> Self {
        self.0[257..].fill(0);
        self
    }

    /// With its checksum.
    pub(super) fn seal(mut self) -> Vec<u8> {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|&b| u32::from(b)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0.to_vec()
    }

    /// With its checksum and its data, padded.
    pub(super) fn with(self, data: &[u8]) -> Vec<u8> {
        let mut out = self.seal();
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }
}

fn plain(name: &str) -> Vec<u8> {
    Raw::new(name, b'0', 0).seal()
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    Raw::new(name, b'0', data.len()).with(data)
}

fn extension(flag: u8, body: &[u8]) -> Vec<u8> {
    Raw::new("ignored", flag, body.len()).with(body)
}

fn record(keyword: &str, value: &str) -> String {
    let rest = keyword.len() + value.len() + 3;
    let len = (1..).find(|len| rest + len.to_string().len() == *len).unwrap();
    format!("{len} {keyword}={value}\n")
}

fn pax(flag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    extension(flag, records.iter().map(|(k, v)| record(k, v)).collect::<String>().as_bytes())
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

fn members(parts: &[Vec<u8>]) -> Vec<Sample> {
    let (samples, end) = read(&ended(parts)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end, Some(End::Marker));
    samples
}

fn one(parts: &[Vec<u8>]) -> Sample {
    let all = members(parts);
    assert_eq!(all.len(), 1);
    all.into_iter().next().unwrap()
}

fn names(parts: &[Vec<u8>]) -> Vec<String> {
    members(parts).iter().map(|s| s.path.escape_ascii().to_string()).collect()
}

fn error(parts: &[Vec<u8>]) -> String {
    read(&ended(parts)).map(|(samples, _)| samples).unwrap_err().to_string()
}

#[test]
fn only_ustar_and_star_have_a_prefix() {
    let with = |raw: Raw| one(&[{ raw }.put(345, b"pre/fix").clone().seal()]).path;
    assert_eq!(with(Raw::new("name", b'0', 0)), b"pre/fix/name");
    assert_eq!(with(Raw::new("name", b'0', 0).v7()), b"name");
    let mut gnu = Raw::new("name", b'0', 0).gnu();
    assert_eq!(with(gnu.clone()), b"pre/fix/name"); // as Go wrote it once
    gnu.put(345, &[b' '; 24]);
    assert_eq!(one(&[gnu.clone().seal()]).path, b"name"); // no times, and no prefix
    gnu.put(345, b"14777777777\x0014777777777\0");
    assert_eq!(one(&[gnu.seal()]).path, b"name"); // times
    let mut any_version = Raw::new("name", b'0', 0);
    any_version.put(263, b"  ");
    assert_eq!(with(any_version), b"pre/fix/name");
    let mut star = Raw::new("name", b'0', 0);
    star.put(476, b"00000000001 00000000002 ");
    assert_eq!(with(star.clone()), b"pre/fix/name"); // star without its magic: its times are no prefix
    star.put(345, &[b'p'; 131]).put(476, &[b'9'; 24]).put(508, b"tar\0");
    assert_eq!(one(&[star.seal()]).path, [&[b'p'; 131][..], b"/name"].concat());
}

#[test]
fn a_full_name_field_has_no_nul() {
    assert_eq!(one(&[plain(&"n".repeat(100))]).path, vec![b'n'; 100]);
}

#[test]
fn types() {
    let kind = |raw: Raw| one(&[raw.seal()]).entry;
    for flag in [0, b'0', b'7'] {
        assert_eq!(kind(Raw::new("f", flag, 0)), Entry::Node(NodeKind::File(())));
    }
    let mut device = Raw::new("c", b'3', 0);
    device.put(329, b"0000005\x000000007\0");
    assert_eq!(kind(device.clone()), Entry::Node(NodeKind::CharDevice(Device { major: 5, minor: 7 })));
    let large = pax(b'x', &[("SCHILY.devmajor", "4294967295"), ("SCHILY.devminor", "8")]);
    let solaris = pax(b'x', &[("SUN.devmajor", "300"), ("SUN.devminor", "70000")]);
    let kind = one(&[solaris, device.clone().seal()]).entry;
    assert_eq!(kind, Entry::Node(NodeKind::CharDevice(Device { major: 300, minor: 70_000 })));
    let kind = one(&[large, device.v7().seal()]).entry;
    assert_eq!(kind, Entry::Node(NodeKind::CharDevice(Device { major: u32::MAX, minor: 8 })));
    assert_eq!(error(&[Raw::new("c", b'3', 0).v7().seal()]), {
        "c at byte 0: device in a v7 header, which has no room for its number"
    });
}

#[test]
fn a_regular_type_with_a_trailing_slash_is_a_directory_without_a_body() {
    let read = |meaning, parts: &[Vec<u8>]| {
        let archive = ended(parts);
        let mut reader = Reader::new(&archive[..]).trailing_slash(meaning);
        let mut found = Vec::new();
        while let Some(member) = reader.next_member().unwrap() {
            found.push((member.path, matches!(member.entry, Entry::Node(NodeKind::Directory))));
        }
        found
    };
    let name = |name: &str| name.as_bytes().to_vec();
    for (flag, in_layers) in [(0, true), (b'0', false), (b'7', false)] {
        // What the size promises does not follow, as GNU tar, bsdtar, Python and Go read it.
        let parts = |size| [Raw::new("d/", flag, size).seal(), plain("z")];
        let directory = [(name("d/"), true), (name("z"), false)];
        assert_eq!(read(TrailingSlash::Directory, &parts(512)), directory, "{flag}");
        assert_eq!(read(TrailingSlash::Directory, &parts(0)), directory, "{flag}");
        let v7 = [Raw::new("d/", flag, 512).v7().seal(), plain("z")];
        assert_eq!(read(TrailingSlash::Directory, &v7), directory, "{flag}");
        let by_pax = [pax(b'x', &[("path", "d/"), ("size", "512")]), Raw::new("d", flag, 0).seal(), plain("z")];
        assert_eq!(read(TrailingSlash::Directory, &by_pax), directory, "{flag}");
        let by_long_name = [extension(b'L', b"d/\0"), Raw::new("d", flag, 0).seal(), plain("z")];
        assert_eq!(read(TrailingSlash::Directory, &by_long_name), directory, "{flag}");
        // Go, and with it containerd, takes type NUL alone for a directory.
        assert_eq!(read(TrailingSlash::AsInLayers, &parts(0)), [(name("d/"), in_layers), (name("z"), false)], "{flag}");
        let rest: &[(Vec<u8>, bool)] = if in_layers { &directory[1..] } else { &[] };
        assert_eq!(&read(TrailingSlash::AsInLayers, &parts(512))[1..], rest, "{flag}");
    }
}

#[test]
fn an_acl_sets_no_mode_of_a_symlink() {
    let acl = pax(b'x', &[("SCHILY.acl.access", "user::rwx,group::r-x,other::r-x")]);
    let mut symlink = Raw::new("l", b'2', 0);
    symlink.put(157, b"to").put(100, b"0000777\0");
    let symlink = symlink.seal();
    assert_eq!(one(&[acl.clone(), symlink.clone()]).meta.mode, 0o777);
    let archive = ended(&[acl.clone(), symlink]);
    let mut reader = Reader::new(&archive[..]);
    while reader.next_member().unwrap().is_some() {}
    let warnings = reader.take_warnings();
    assert_eq!(warnings.iter().map(|warning| warning.skipped).collect::<Vec<_>>(), [Skipped::SymlinkAcl]);
    assert_eq!(one(&[acl, plain("f")]).meta.mode, 0o755);
}

#[test]
fn a_time_that_is_no_number_costs_the_time_and_not_the_archive() {
    for odd in ["nan", "NaN", "-nan"] {
        let mut raw = Raw::new("f", b'0', 0);
        raw.put(136, b"00000000017\0");
        let parts =
            [pax(b'x', &[("mtime", odd)]), raw.seal(), pax(b'x', &[("mtime", odd), ("mtime", "5")]), plain("g")];
        let archive = ended(&parts);
        let mut reader = Reader::new(&archive[..]);
        let mut times = Vec::new();
        while let Some(member) = reader.next_member().unwrap() {
            times.push(member.meta.mtime.secs);
        }
        assert_eq!(times, [15, 5], "{odd}: the header's own");
        let warnings = reader.take_warnings();
        assert_eq!(warnings.iter().map(|warning| warning.skipped).collect::<Vec<_>>(), [Skipped::Time], "{odd}");
    }
}

#[test]
fn times_beyond_what_can_be_said_are_the_nearest_that_can() {
    let time = |raw: Raw| one(&[raw.seal()]).meta.mtime.secs;
    let field = |bytes: &[u8; 12]| Raw::new("f", b'0', 0).put(136, bytes).clone();
    assert_eq!(time(field(&[0x80, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0])), i64::MAX);
    assert_eq!(time(field(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0])), i64::MIN);
    let pax = |time: &str| one(&[pax(b'x', &[("mtime", time)]), plain("f")]).meta.mtime;
    assert_eq!(pax("99999999999999999999").secs, i64::MAX);
    assert_eq!(pax("1e-05"), Timestamp { secs: 0, nanos: 10_000 });
}

#[test]
fn attributes_of_globals_are_shared_by_members() {
    let labelled = |value: &str| pax(b'x', &[("SCHILY.xattr.security.selinux", value)]);
    let global = pax(b'g', &[("SCHILY.xattr.user.a", "g")]);
    let own = || labelled("label");
    let all = members(&[own(), plain("a"), own(), plain("b"), global, plain("c"), plain("d"), own(), plain("e")]);
    let at = |i: usize| all[i].xattrs.iter().next().unwrap().value;
    assert!(std::ptr::eq(at(0), at(1)), "equal sets are held once");
    assert!(std::ptr::eq(at(2), at(3)), "a global one is held once");
    assert_eq!(all[4].xattrs.iter().count(), 2);
    // Repeated with attributes of the members' own, they are not: that is bounded.
    let large = pax(b'g', &[("SCHILY.xattr.user.a", &*"g".repeat(60_000))]);
    let many: Vec<Vec<u8>> = (0..1000).flat_map(|i| [labelled(&i.to_string()), plain("f")]).collect();
    assert!(error(&[vec![large], many].concat()).contains("repeated for too many members"));
    let small = pax(b'g', &[("SCHILY.xattr.user.a", "g")]);
    let many: Vec<Vec<u8>> = (0..1000).flat_map(|i| [labelled(&i.to_string()), plain("f")]).collect();
    assert_eq!(members(&[vec![small], many].concat()).len(), 1000);
}

/// One header of a few KiB must not stand for gigabytes, in memory or in a result (S5).
#[test]
fn what_globals_give_to_all_is_bounded() {
    let many: Vec<Vec<u8>> = (0..40_000).map(|i| plain(&i.to_string())).collect();
    let after = |global: Vec<u8>| [vec![global], many.clone()].concat();
    let long = "x".repeat(4000);
    for records in [[("path", &*long)], [("linkpath", &long)], [("GNU.sparse.name", &long)]] {
        assert!(error(&after(pax(b'g', &records))).contains("repeated for too many members"), "{records:?}");
    }
    assert!(error(&after(pax(b'g', &[("SCHILY.xattr.user.a", &*"g".repeat(60_000))]))).contains("too many members"));
    // Nor do further headers allow more, or are read for less than they cause.
    let headers = |records: &dyn Fn(usize) -> Vec<u8>| {
        let target = pax(b'g', &[("linkpath", &*long)]);
        (0..40).flat_map(|i| [vec![target.clone(), records(i)], many[..1000].to_vec()].concat()).collect::<Vec<_>>()
    };
    assert!(error(&headers(&|_| pax(b'g', &[("comment", "x")]))).contains("too many members"));
    let large = pax(b'g', &[("SCHILY.xattr.user.a", &*"g".repeat(60_000))]);
    let relabel = |i: usize| pax(b'g', &[("RHT.security.selinux", &*i.to_string())]);
    let relabelled: Vec<Vec<u8>> = (0..10_000).map(relabel).collect();
    assert!(error(&[vec![large.clone()], relabelled.clone(), vec![plain("f")]].concat()).contains("too many members"));
    assert_eq!(members(&[relabelled, vec![plain("f")]].concat()).len(), 1);
    let commented: Vec<Vec<u8>> = (0..10_000).map(|_| pax(b'g', &[("comment", "x")])).collect();
    assert_eq!(members(&[vec![large], commented, vec![plain("f")]].concat()).len(), 1);
    // As much as an honest one says.
    let label = ("SCHILY.xattr.security.selinux", "system_u:object_r:usr_t:s0");
    let comment = ("comment", "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(members(&after(pax(b'g', &[label, comment]))).len(), 40_000);
    // A name that is repeated gives one attribute.
    assert_eq!(members(&after(pax(b'g', &[label; 500]))).len(), 40_000);
}

#[test]
fn only_files_and_unknown_types_have_a_body() {
    let mut link = Raw::new("l", b'2', 1000);
    link.put(157, b"target");
    let parts = [link.seal(), Raw::new("d", b'5', 1000).seal(), Raw::new("p", b'6', 1000).seal(), plain("z")];
    assert_eq!(names(&parts), ["l", "d", "p", "z"]);
}

#[test]
fn unknown_types_are_skipped_with_one_warning() {
    let data = [7; 600];
    let unknown = || Raw::new("u", b'Q', 600).with(&data);
    let archive = ended(&[plain("a"), unknown(), unknown(), Raw::new("label", b'V', 0).gnu().seal(), plain("z")]);
    let mut reader = Reader::new(&archive[..]);
    while reader.next_member().unwrap().is_some() {}
    let warnings = reader.take_warnings();
    assert_eq!(warnings, [Warning { offset: 512, member: b"u".to_vec(), skipped: Skipped::Type(b'Q') }]);
    assert_eq!(warnings[0].skipped.to_string(), "unknown type 'Q' skipped");
    assert_eq!(names(&[plain("a"), unknown(), plain("z")]), ["a", "z"]);
    assert_eq!(error(&[Raw::new("m", b'M', 0).seal()]), "m at byte 0: continued from another volume");
}

#[test]
fn numbers_of_every_kind() {
    let mut raw = Raw::new("f", b'0', 0).gnu();
    raw.put(108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).put(116, b"  17   \0");
    raw.put(136, &[0xff; 12]).put(100, b"0107755\0");
    let meta = one(&[raw.clone().seal()]).meta;
    let mtime = Timestamp::from_secs(-1);
    assert_eq!(meta, Metadata { mode: 0o7755, uid: u32::MAX, gid: 0o17, mtime });

    raw.put(108, &[0x80, 0, 0, 1, 0, 0, 0, 0]);
    assert!(error(&[plain("x"), raw.clone().seal()]).starts_with("f at byte 512: uid \""));
    for (at, bad, message) in [
        (100, &b"78z    \0"[..], "mode \"78z    \\x00\" is not a number"),
        (108, b"-1     \0", "uid \"-1     \\x00\" is not a number"),
        (116, &[0xff; 8], "gid \"\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\" is out of range"),
        (124, b"            ", "size \"            \" is not a number"),
        (124, b"00000x00000\0", "size \"00000x00000\\x00\" is not a number"),
        (136, b"99999999999\0", "mtime \"99999999999\\x00\" is not a number"),
    ] {
        let mut raw = Raw::new("dir/f", b'0', 0);
        raw.put(at, bad);
        assert_eq!(error(&[plain("x"), raw.seal()]), format!("dir/f at byte 512: {message}"));
    }
    let mut huge = Raw::new("f", b'0', 0);
    huge.put(124, &[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(read(&huge.seal()).is_err());
}

#[test]
fn signed_checksums() {
    let mut raw = Raw::new("\u{e4}\u{f6}", b'0', 0);
    raw.put(148, b"        ");
    let signed: i32 = raw.0.iter().map(|&b| i32::from(i8::from_ne_bytes([b]))).sum();
    raw.put(148, format!("{signed:06o}\0 ").as_bytes());
    assert_eq!(one(&[raw.0.to_vec()]).path, "\u{e4}\u{f6}".as_bytes());
    raw.0[0] ^= 1;
    assert!(error(&[raw.0.to_vec()]).starts_with("at byte 0: not a tar header, so this is no tar archive"));
}

#[test]
fn long_names_and_pax_apply_to_the_next_file() {
    let long = || extension(b'L', b"long name\0rubbish");
    let link = || extension(b'K', b"long link\0");
    let size = || pax(b'x', &[("size", "5"), ("mtime", "-0.5")]);
    // `size` is for the file, not for the L and K between.
    let parts = [size(), long(), link(), Raw::new("short", b'0', 0).gnu().with(b"hello"), file("next", b"x")];
    let got = members(&parts);
    assert_eq!((&*got[0].path, &*got[0].content), (&b"long name"[..], &b"hello"[..]));
    assert_eq!(got[0].meta.mtime, Timestamp { secs: -1, nanos: 500_000_000 });
    assert_eq!((&*got[1].path, &*got[1].content, got[1].meta.mtime.secs), (&b"next"[..], &b"x"[..], 3));

    let mut symlink = Raw::new("short", b'2', 0);
    symlink.put(157, b"short link");
    let got = one(&[link(), long(), symlink.clone().seal()]);
    assert_eq!((&*got.path, got.entry), (&b"long name"[..], Entry::Node(NodeKind::Symlink((*b"long link").into()))));
    let got = one(&[pax(b'x', &[("path", "pax"), ("linkpath", "to")]), long(), link(), symlink.seal()]);
    assert_eq!((&*got.path, got.entry), (&b"pax"[..], Entry::Node(NodeKind::Symlink((*b"to").into()))));
    // Of several x the last counts alone, as GNU tar 1.34 and bsdtar 3.6 have it, malformed ones before it too.
    let first = || pax(b'x', &[("path", "a"), ("uid", "7")]);
    for between in [vec![], extension(b'L', b"long\0"), pax(b'x', &[("uid", "none")])] {
        let got = one(&[first(), between, pax(b'X', &[("path", "b")]), plain("f")]);
        assert_eq!((&*got.path, got.meta.uid), (&b"b"[..], 1));
    }
    let got = one(&[first(), extension(b'x', b""), plain("f")]);
    assert_eq!((&*got.path, got.meta.uid), (&b"f"[..], 1));
}

#[test]
fn globals_apply_to_all_that_follow() {
    let parts = [
        plain("before"),
        pax(b'g', &[("comment", "0123456789"), ("uid", "7"), ("gid", "8"), ("SCHILY.xattr.user.a", "g")]),
        plain("a"),
        pax(b'x', &[("uid", ""), ("gid", "9"), ("SCHILY.xattr.user.a", "x")]),
        plain("b"),
        pax(b'g', &[("gid", "")]),
        plain("c"),
    ];
    let got: Vec<_> = members(&parts)
        .into_iter()
        .map(|s| (s.path[0], s.meta.uid, s.meta.gid, s.xattrs.get(b"user.a").map(|v| v[0])))
        .collect();
    assert_eq!(got, [(b'b', 1, 2, None), (b'a', 7, 8, Some(b'g')), (b'b', 1, 9, Some(b'x')), (b'c', 7, 2, Some(b'g'))]);
}

#[test]
fn pax_errors_name_member_and_byte() {
    let bad = pax(b'x', &[("comment", "hello"), ("uid", "4294967296"), ("path", "real/name")]);
    let offset = 512 + 512 + record("comment", "hello").len();
    let wanted = format!("real/name at byte {offset}: PAX header: uid \"4294967296\" is out of range");
    assert_eq!(error(&[plain("x"), bad, plain("f")]), wanted);
    let cut = extension(b'x', b"99 path=x\n");
    assert_eq!(error(&[cut, plain("f")]), "f at byte 512: PAX header: record of 99 bytes does not fit");
    let nul = pax(b'x', &[("linkpath", "a\0b")]);
    assert_eq!(error(&[nul, plain("f")]), "f at byte 512: PAX header: linkpath has a NUL byte in it");
    let name = pax(b'x', &[("path", "\x1b[2Jevil\u{85}")]);
    assert!(error(&[name, Raw::new("f", b'M', 0).seal()]).starts_with("\\x1b[2Jevil\\u{85} at byte 1024: continued"));
}

#[test]
fn lengths_are_bounded_before_they_are_believed() {
    let claim = |flag, size| error(&[Raw::new("long", flag, size).seal()]);
    let too_long = "of 8589934591 bytes is too long";
    assert_eq!(claim(b'L', 0o77777777777), format!("long at byte 512: a long name {too_long}, 65536 are allowed"));
    assert_eq!(claim(b'x', 0o77777777777), format!("long at byte 512: a PAX header {too_long}, 16777216 are allowed"));
    assert_eq!(claim(b'g', 20_000_000).split(' ').nth(6), Some("header"));
    // The last counts alone, and takes memory alone.
    let x = || pax(b'x', &[("comment", &"c".repeat(10_000_000))]);
    assert_eq!(names(&[x(), x(), plain("f")]), ["f"]);
    let path = pax(b'g', &[("path", &*"p".repeat(5000))]);
    assert!(error(&[path, plain("f")]).contains("5000 bytes is too long, 4096 are allowed"));
    let link = pax(b'x', &[("linkpath", &"p".repeat(65_537))]);
    assert!(error(&[link, Raw::new("l", b'2', 0).seal()]).starts_with("l at byte 66560: a long name of 65537 bytes"));
    let value = pax(b'x', &[("SCHILY.xattr.user.a", &*"v".repeat(65_537))]);
    assert!(error(&[value, plain("f")]).contains("value of user.a has 65537 bytes, 65536 are allowed"));
    let g = |i: usize| pax(b'g', &[(&*format!("SCHILY.xattr.user.{i}"), &*"v".repeat(40_000))]);
    assert!(error(&[g(1), g(2), plain("f")]).ends_with("bytes is too long, 65536 are allowed"));
    let path = pax(b'x', &[("path", &"p".repeat(2_000_000))]);
    assert!(error(&[path, plain("f")]).contains("a long name of 2000000 bytes is too long"));
}

#[test]
fn hard_links_with_and_without_a_body() {
    let link = |size| {
        let mut raw = Raw::new("link", b'1', size);
        raw.put(157, b"target");
        raw
    };
    let both = ["link", "z"];
    assert_eq!(names(&[link(0).seal(), plain("z")]), both);
    assert_eq!(names(&[link(1000).seal(), plain("z")]), both);
    assert_eq!(names(&[link(1000).with(&[b'x'; 1000]), plain("z")]), both);
    assert_eq!(names(&[link(1).with(b"x"), plain("z")]), both);
    assert_eq!(names(&[link(512).with(&[0; 512]), plain("z")]), both);
    assert_eq!(names(&[link(10_240).with(&[0; 10_240]), plain("z")]), both);
    let half = [[0; 1024], [b'x'; 1024]].concat();
    assert_eq!(names(&[link(2048).with(&half), plain("z")]), both);
    assert_eq!(names(&[pax(b'x', &[("size", "1000")]), link(0).with(&[b'x'; 1000]), plain("z")]), both);
    // No body, but perhaps the end; and the end with rubbish after it.
    for zeros in [1024, 10_240] {
        let (got, end) = read(&[link(1_000_000).seal(), vec![0; zeros]].concat()).unwrap();
        assert_eq!((got.len(), end), (1, Some(End::PerhapsInBody)));
    }
    assert_eq!(names(&[link(1_000_000).seal(), vec![0; 1024], plain("rubbish")]), ["link"]);
    // The body is not the link's content, and no data of a file.
    let got = members(&[link(1000).with(&[b'x'; 1000]), plain("z")]);
    assert_eq!((&*got[0].content, &got[0].entry), (&b""[..], &Entry::HardLink((*b"target").into())));
    let cut = read(&link(1000).with(&[b'x'; 1000])[..1024]).unwrap_err();
    assert_eq!(cut.to_string(), "link at byte 1024: the archive is cut off inside a member's data");
}

/// A header behind a link with a size says that it has no body. If it has one, an archive, what follows must not get lost.
#[test]
fn a_link_with_an_archive_for_a_body() {
    let inner = |rest: usize| [plain("i"), file("j", b"text"), vec![0; (2 + rest) * BLOCK]].concat();
    let link = |size: usize| {
        let mut raw = Raw::new("link", b'1', size);
        raw.put(157, b"target");
        raw
    };
    for rest in [0, 1, 15] {
        let body = inner(rest);
        let said = error(&[plain("target"), link(body.len()).with(&body), plain("z")]);
        assert_eq!(said, "link at byte 1024: the body of this hard link is itself an archive", "{rest}");
        // Without a body: the size is one of something else, and nothing follows the end of this archive.
        let (got, end) = read(&[plain("target"), link(body.len()).seal(), body.clone()].concat()).unwrap();
        assert_eq!((got.len(), end), (4, Some(End::Marker)), "{rest}");
        let (got, end) = read(&[plain("target"), link(1 << 20).seal(), body, vec![0; 10_240]].concat()).unwrap();
        assert_eq!((got.len(), end), (4, Some(End::Marker)), "{rest}");
    }
}

#[test]
fn a_stream_cut_inside_the_zeros_of_a_link_is_not_whole() {
    let link = |size: usize| {
        let mut raw = Raw::new("link", b'1', size);
        raw.put(157, b"target");
        raw
    };
    let end = |parts: &[Vec<u8>]| read(&parts.concat()).unwrap().1;
    let zeros = |blocks: usize| vec![0; blocks * BLOCK];
    let whole = [link(8192).with(&[0; 8192]), plain("z"), zeros(2)].concat();
    for blocks in 0..19 {
        let prefix = whole[..(1 + blocks) * BLOCK].to_vec();
        assert_ne!(read(&prefix).ok().and_then(|(_, end)| end), Some(End::Marker), "{blocks} blocks after the header");
    }
    assert_eq!(end(&[whole]), Some(End::Marker));
    // The body, and the marker after it.
    assert_eq!(end(&[link(8192).with(&[0; 8192]), zeros(1)]), Some(End::PerhapsInBody));
    assert_eq!(end(&[link(8192).with(&[0; 8192]), zeros(2)]), Some(End::Marker));
    // Links that are known to have no bodies.
    assert_eq!(end(&[link(8192).seal(), zeros(2)]), Some(End::PerhapsInBody));
    assert_eq!(end(&[link(8192).seal(), link(8192).seal(), zeros(2)]), Some(End::Marker));
    assert_eq!(end(&[link(8192).seal(), link(8192).seal(), zeros(1)]), Some(End::PerhapsInBody));
}

#[test]
fn ends() {
    let end = |archive: &[u8]| read(archive).unwrap().1;
    let block = vec![0; BLOCK];
    assert_eq!(end(b""), Some(End::CleanEof));
    assert_eq!(end(&plain("f")), Some(End::CleanEof));
    assert_eq!(end(&[plain("f"), block.clone()].concat()), Some(End::LoneZeroBlock));
    assert_eq!(end(&[plain("f"), block.clone(), plain("g")].concat()), Some(End::LoneZeroBlock));
    assert_eq!(end(&[plain("f"), block.repeat(2), b"rubbish".to_vec()].concat()), Some(End::Marker));
    let cut = |archive: &[u8]| read(archive).unwrap_err().to_string();
    assert_eq!(cut(&plain("f")[..511]), "at byte 511: the archive is cut off inside a header");
    assert_eq!(cut(&file("f", b"data")[..514]), "f at byte 514: the archive is cut off inside a member's data");
    assert_eq!(cut(&file("f", b"data")[..600]), "f at byte 600: the archive is cut off inside padding");
    let x = pax(b'x', &[("path", "p")]);
    assert_eq!(cut(&x), "at byte 1024: the archive is cut off inside an extended header's member");
    assert_eq!(cut(&x[..600]), "ignored at byte 600: the archive is cut off inside a PAX header");
}

/// A stream of a header and then zeros, as many as it takes.
struct Endless<'a>(&'a [u8]);

impl std::io::BufRead for Endless<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        Ok(if self.0.is_empty() { &ZEROS } else { self.0 })
    }

    fn consume(&mut self, len: usize) {
        self.0 = self.0.get(len..).unwrap_or_default();
    }
}

impl std::io::Read for Endless<'_> {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Ok(0) // nobody reads it this way
    }
}

#[test]
fn files_beyond_8_gib() {
    const SIZE: u64 = (9 << 30) + 1;
    let mut base256 = Raw::new("f", b'0', 0);
    base256.put(124, &[0x80, 0, 0, 0]).put(128, &SIZE.to_be_bytes());
    for header in [[base256.seal()].concat(), [pax(b'x', &[("size", &SIZE.to_string())]), plain("f")].concat()] {
        let mut reader = Reader::new(Endless(&header));
        let member = reader.next_member().unwrap().unwrap();
        let file = member.entry.content().unwrap();
        assert_eq!((file.size, file.stored, file.data_offset), (SIZE, SIZE, header.len() as u64));
        assert!(reader.next_member().unwrap().is_none());
        assert_eq!((reader.end(), reader.offset()), (Some(End::Marker), header.len() as u64 + SIZE + 511 + 1024));
    }
}

#[test]
fn what_follows_an_error_is_nothing() {
    let archive = [plain("f"), vec![1; BLOCK], plain("g")].concat();
    let mut reader = Reader::new(&archive[..]);
    assert!(reader.next_member().unwrap().is_some());
    assert!(reader.next_member().is_err());
    assert_eq!((reader.next_member().unwrap(), reader.end()), (None, None));
}

#[test]
fn sparse_maps_that_lie() {
    let v1 = |map: &str, size: usize, real: &str| {
        let mut data = map.as_bytes().to_vec();
        data.resize(BLOCK, 0);
        data.resize(BLOCK + size, b'x');
        let keys = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", real)];
        [pax(b'x', &keys), file("f", &data)]
    };
    let got = one(&v1("2\n10\n5\n1000\n3\n", 8, "2000"));
    assert_eq!(got.sparse, Some(vec![Segment { offset: 10, len: 5 }, Segment { offset: 1000, len: 3 }]));
    for (map, size, real, message) in [
        ("2\n10\n5\n1000\n3\n", 9, "2000", "its segments hold 8 bytes, the archive 9"),
        ("2\n10\n5\n1000\n3\n", 8, "1002", "segment of 3 bytes at 1000 is out of place"),
        ("2\n10\n5\n14\n3\n", 8, "2000", "segment of 3 bytes at 14 is out of place"),
        ("2\n10\n5\n14\n", 8, "2000", "\"\" is not a number"),
        ("9999999999\n", 8, "2000", "it has more than 1048576 segments"),
        ("1\n0\n8\n", 8, "", "the file's size with its holes is missing"),
    ] {
        let got = error(&v1(map, size, real));
        // An unended map runs into the data.
        let got = if map.ends_with("14\n") { "\"\" is not a number".into() } else { got };
        assert!(got.ends_with(message), "{map:?}: {got}");
    }
    assert!(error(&v1(&"1".repeat(600), 0, "9")).contains("is not a number"));
    let v2 = pax(b'x', &[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "0")]);
    assert!(error(&[v2, plain("f")]).ends_with("f at byte 1024: sparse map: unknown version 2.0"));
    let v0 = |map, n| pax(b'x', &[("GNU.sparse.size", "10"), ("GNU.sparse.numblocks", n), ("GNU.sparse.map", map)]);
    assert_eq!(one(&[v0("2,1,4,1", "2"), file("f", b"ab")]).content, b"\0\0a\0b\0\0\0\0\0");
    assert_eq!(one(&[v0("", "0"), plain("f")]).content, [0; 10]);
    assert!(error(&[v0("2,1,4", "2"), file("f", b"ab")]).ends_with("it has 3 numbers in place of 4"));
    assert!(error(&[v0("2,1,4,1", "3"), file("f", b"ab")]).ends_with("it has 4 numbers in place of 6"));
    assert!(error(&[v0("2,x", "1"), file("f", b"ab")]).ends_with("GNU.sparse.map \"2,x\" is not a number"));
    let many = pax(b'x', &[("GNU.sparse.map", &*"1,".repeat(2_100_000))]);
    assert!(error(&[many, plain("f")]).ends_with("sparse map of more than 1048576 segments"));
    // Files of 1,000 segments of a byte each: a few, but not any number of them.
    let map = (0..1000).map(|at| format!("{},1", at * 8192)).collect::<Vec<_>>().join(",");
    let small = [pax(b'x', &[("GNU.sparse.size", "8192000"), ("GNU.sparse.map", &*map)]), file("f", &[b'x'; 1000])];
    assert_eq!(members(&vec![small.concat(); 3]).len(), 3);
    let said = error(&vec![small.concat(); 5]);
    assert!(said.ends_with("it has more segments than their data can fill, 512 bytes each"), "{said}");
    let holes = pax(b'x', &[("SUN.holesdata", " 0 10 20")]);
    assert!(error(&[holes, plain("f")]).ends_with("PAX header: SUN.holesdata is not supported"));
}

#[test]
fn old_sparse_headers_of_gnu_and_star() {
    let extended = |mut raw: Raw, map: usize, flag: usize, size: usize| {
        for (i, pair) in [(0, 1), (1024, 1), (2048, 1), (3072, 1)].iter().enumerate() {
            raw.put(map + 24 * i, format!("{:011o}\0{:011o}\0", pair.0, pair.1).as_bytes());
        }
        raw.put(flag, &[1]).put(size, format!("{:011o}\0", 10_000).as_bytes());
        let mut more = Raw([0; BLOCK]);
        more.put(0, format!("{:011o}\0{:011o}\0", 4096, 2).as_bytes());
        [raw.seal(), more.0.to_vec(), b"abcdef".to_vec(), vec![0; 506]].concat()
    };
    let mut star = Raw::new("f", b'S', 6);
    star.put(508, b"tar\0").put(476, b"00000000001 00000000002 ");
    for archive in [extended(Raw::new("f", b'S', 6).gnu(), 386, 482, 483), extended(star, 356, 355, 452)] {
        let got = one(&[archive.clone(), vec![]]);
        assert_eq!((got.content.len(), &got.content[4096..4098], got.content[3072]), (10_000, &b"ef"[..], b'd'));
        assert_eq!(read(&archive[..512]).unwrap_err().to_string(), {
            "f at byte 512: the archive is cut off inside a sparse map"
        });
    }
    assert!(error(&[Raw::new("f", b'S', 0).seal()]).contains("no room for its map"));
    let large = pax(b'x', &[("SCHILY.realsize", "20000")]);
    assert_eq!(one(&[large, Raw::new("f", b'S', 0).gnu().seal()]).content, [0; 20_000]);
}

#[test]
fn xattrs_and_acls_come_with_their_member() {
    let acl = "user::rwx\nuser:1000:r--\ngroup::r-x\nmask::rw-\nother::---\n";
    let parts = [pax(b'x', &[("SCHILY.acl.access", acl), ("RHT.security.selinux", "ctx")]), plain("f")];
    let got = one(&parts);
    assert_eq!(got.meta.mode, 0o760);
    assert_eq!(got.xattrs.get(b"security.selinux"), Some(&b"ctx\0"[..]));
    let acl = acl::parse_text(acl.as_bytes()).unwrap().unwrap();
    assert_eq!(got.xattrs.get(b"system.posix_acl_access"), Some(&*acl.to_xattr()));
    let bad = pax(b'x', &[("SCHILY.acl.access", "user::rwx,user:joe:r--,group::---,mask::r--,other::---")]);
    assert!(
        error(&[plain("x"), bad, plain("f")])
            .starts_with("f at byte 1536: extended attribute: SCHILY.acl.access: \"user:joe:r--\" has no numeric id")
    );
    assert_eq!(one(&[pax(b'x', &[("SCHILY.acl.access", "")]), plain("f")]).xattrs, Xattrs::NONE);
}
