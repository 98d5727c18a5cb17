//! `tar2ext4`: the file system is one that mke2fs could have made (E4): `dumpe2fs` tells them apart by chance alone.

use std::fs;
use std::path::Path;

use crate::support::{Filter, assert_text, debugfs, dumpe2fs, e2fsck_clean, scratch, shell, tool};

const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// The superblock in words, without what time and chance decide.
fn superblock(image: &Path) -> String {
    let chance = ["Filesystem created:", "Last write time:", "Last checked:", "Directory Hash Seed:", "Checksum:"];
    // mke2fs counts what it wrote.
    let masks = |line: &&str| !chance.iter().chain(&["Lifetime writes:"]).any(|mask| line.starts_with(mask));
    dumpe2fs(image).lines().filter(masks).map(|line| format!("{line}\n")).collect()
}

fn number(dump: &str, field: &str) -> u64 {
    dump.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().parse().unwrap()
}

#[test]
fn the_superblock_is_that_of_mke2fs() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir_all(at("tree/etc")).unwrap();
    fs::write(at("tree/etc/motd"), vec![7; 20_000]).unwrap();
    shell("tar -C \"$0\" -cf \"$1\" .").args([at("tree"), at("tar")]).run().succeeds();
    // Sizes in KiB around what changes with the size: the first group, the journal, the reserve. A last group that is
    // smaller than its own tables is left out by mke2fs; here the size is met.
    for (kib, journal, compat) in [
        (1024_u64, false, false),
        (8 << 10, true, false),
        (40_000, true, true),
        (131_072, false, false),
        (140_000, true, false),
        (300 << 10, false, true),
        (1 << 20, true, false),
        (5 << 20, true, false),
        (300 << 20, false, false),
        (3000 << 20, true, false),
    ] {
        let size = format!("{kib}K");
        let features = "^64bit,^orphan_file,^metadata_csum_seed";
        let features = format!("{features}{}", if journal { "" } else { ",^has_journal" });
        let features = format!("{features}{}", if compat { ",^metadata_csum" } else { "" });
        let flags = ["-q", "-F", "-t", "ext4", "-b", "4096", "-i", "65536", "-m", "3", "-L", "label", "-U", UUID];
        let make = Filter::tool("mke2fs").args(flags).args(["-O", &features, "-d"]).arg(at("tree")).arg(at("theirs"));
        let _ = fs::remove_file(at("theirs"));
        make.arg(&size).run().succeeds();
        let theirs = superblock(&at("theirs"));

        // As many inodes as mke2fs chose.
        let inodes = number(&theirs, "Inode count:").to_string();
        let mut flags = vec!["--size", &size, "-m", "3", "-L", "label", "-U", UUID, "-N", &inodes];
        flags.extend(journal.then_some("-J"));
        flags.extend(compat.then_some("--compat"));
        Filter::tar2ext4().arg("-o").arg(at("ours")).args(flags).arg(at("tar")).run().succeeds().quiet();
        assert_text(&format!("dumpe2fs -h of {size}"), &theirs, &superblock(&at("ours")));
        if kib <= 5 << 20 {
            e2fsck_clean(at("ours"));
        }
    }
}

#[test]
fn inodes_are_those_of_mke2fs() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let script = r#"
        set -e; mkdir -p "$0/dir"; cd "$0"; printf x > dir/file; : > empty; ln -s short soft; ln dir/file hard
        ln -s "$(printf 'l%.0s' $(seq 100))" long; mkfifo fifo; truncate -s 5M hole; seq 30000 > dir/seq
        find . -exec touch -h -d @1700000000 {} +
    "#;
    shell(script).arg(at("tree")).run().succeeds();
    shell("tar -C \"$0\" --numeric-owner -cf \"$1\" .").args([at("tree"), at("tar")]).run().succeeds();
    let flags = ["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-U", UUID, "-O"];
    let features = "^64bit,^orphan_file,^metadata_csum_seed,^has_journal";
    let make = Filter::tool("mke2fs").args(flags).arg(features).arg("-d").args([at("tree"), at("theirs")]);
    make.arg("20M").run().succeeds();
    Filter::tar2ext4().args(["-U", UUID, "--size", "20M", "-o"]).args([at("ours"), at("tar")]).run().succeeds().quiet();
    e2fsck_clean(at("ours"));
    for path in
        ["/", "/dir", "/dir/file", "/dir/seq", "/empty", "/soft", "/long", "/fifo", "/hole", "/lost+found", "<7>"]
    {
        // Type, mode, flags, owner, size, links, blocks, and whether there are extents; not which blocks, nor times
        // that mke2fs takes from elsewhere.
        let stat = |image: &str| {
            let stat = tool("debugfs", ["-R".as_ref(), format!("stat {path}").as_ref(), at(image).as_os_str()]);
            let keep = |line: &&str| {
                let mask = ["Inode checksum", "(", " ctime", " atime", "crtime", " mtime"];
                !mask.iter().any(|mask| line.starts_with(mask)) && !line.is_empty()
            };
            let lines = stat.text().lines().filter(keep).map(|line| match line.split_once("Type:") {
                Some((_, rest)) => format!("Type:{rest}\n"), // mke2fs numbers inodes in another order
                None => format!("{line}\n"),
            });
            lines.collect::<String>().replace(" Generation: 0    Version: 0x00000000:00000000", "")
        };
        assert_text(&format!("stat {path}"), &stat("theirs"), &stat("ours"));
    }
}

/// What people do to a file system later: each starts from a fresh image.
#[test]
fn e2fsprogs_change_it_as_one_of_their_own() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let script = r#"
        set -e; mkdir -p "$0/dir/many"; cd "$0"; seq 30000 > dir/seq; ln -s seq dir/soft
        for n in $(seq 900); do : > dir/many/$n; done; setfattr -n user.a -v "$(seq 100)" dir/seq
    "#;
    shell(script).arg(at("tree")).run().succeeds();
    shell("tar -C \"$0\" --xattrs -cf \"$1\" .").args([at("tree"), at("tar")]).run().succeeds();
    for compat in [false, true] {
        for command in [
            "tune2fs -U random",
            "tune2fs -j",
            "tune2fs -O metadata_csum",
            "tune2fs -O ^metadata_csum",
            "tune2fs -O quota,project",
            "tune2fs -m 5 -L other -e remount-ro",
            "resize2fs -b",
            "resize2fs -M",
            "e2fsck -fyD",
        ] {
            let flags = ["--size", "150M"].into_iter().chain(compat.then_some("--compat"));
            Filter::tar2ext4().arg("-o").arg(at("image")).args(flags).arg(at("tar")).run().succeeds().quiet();
            let ran = shell(&format!("PATH=$PATH:/usr/sbin:/sbin; {command} \"$0\"")).arg(at("image")).run();
            // 1: e2fsck changed something.
            assert!(matches!(ran.status.code(), Some(0 | 1)), "{}", ran.report());
            e2fsck_clean(at("image"));
            assert_eq!(debugfs(at("image"), "cat /dir/seq"), fs::read_to_string(at("tree/dir/seq")).unwrap());
            assert!(debugfs(at("image"), "stat /dir/many/899").contains("Type: regular"), "{command}");
        }
    }
}
