//! `tar2ext4`: where the image goes, and what is left when it does not (S1 to S4, S6).

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    Filter, LoopDevice, LoopMount, Snapshot, dumpe2fs, e2fsck_clean, needs_root, python_tar, scratch, shell, tool,
};

/// A small tar: two files and a directory.
fn small_tar(directory: &Path) -> Vec<u8> {
    let tree = directory.join("tree");
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/hostname"), "box\n").unwrap();
    fs::write(tree.join("data"), vec![5; 100_000]).unwrap();
    shell("tar -C \"$0\" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf - .")
        .arg(&tree)
        .run()
        .succeeds()
        .stdout
}

#[test]
fn a_cut_stream_fails_and_leaves_the_old_file() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let image = scratch.path().join("out/image");
    fs::create_dir(image.parent().unwrap()).unwrap();
    fs::write(&image, "old").unwrap();
    let end = tar.windows(1024).rposition(|end| end.iter().any(|byte| *byte != 0)).unwrap() + 1;
    for cut in (0..end).step_by(1111).chain([512, 1024, 1536, tar.len() / 512 * 512 - 20 * 512, end - 1]) {
        let ran = Filter::tar2ext4().arg("-o").arg(&image).stdin(&tar[..cut]).run();
        ran.fails_with(1, "tar2ext4: ").one_line();
        assert_eq!(fs::read(&image).unwrap(), b"old");
        assert_eq!(fs::read_dir(image.parent().unwrap()).unwrap().count(), 1, "something is left beside the image");
    }
    Filter::tar2ext4().arg("-o").arg(&image).stdin(tar).run().succeeds().quiet();
    e2fsck_clean(&image);
}

#[test]
fn a_missing_end_marker_can_be_allowed() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let image = scratch.path().join("image");
    let data_end = tar.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
    let cut = &tar[..data_end];
    let ran = Filter::tar2ext4().arg("-o").arg(&image).stdin(cut).run();
    ran.fails_with(1, "without its end marker").says("--allow-missing-eof");
    Filter::tar2ext4().arg("-o").arg(&image).arg("--allow-missing-eof").stdin(cut).run().succeeds().quiet();
    e2fsck_clean(&image);
}

#[test]
fn usage_errors_have_status_2() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    Filter::tar2ext4().run().fails_with(2, "--output");
    let with = |flags: &[&str]| Filter::tar2ext4().arg("-o").arg(&image).args(flags).run();
    with(&["--size", "much"]).fails_with(2, "much");
    with(&["-L", "seventeen bytes!!"]).fails_with(2, "16").one_line();
    with(&["--offset", "1M"]).fails_with(2, "--size");
    with(&["--uuid", "none"]).fails_with(2, "none");
    with(&["--free", "80%", "--reserved", "20"]).fails_with(2, "90 %").one_line();
    let epoch = |value| Filter::tar2ext4().env("SOURCE_DATE_EPOCH", value).arg("-o").arg(&image).run();
    epoch("tomorrow").fails_with(2, "SOURCE_DATE_EPOCH").one_line();
    assert!(!image.exists());
}

#[test]
fn failures_name_the_file() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let run = |output: &str| Filter::tar2ext4().arg("-o").arg(at(output)).stdin(small_tar(scratch.path())).run();
    run("no/such/image").fails_with(1, "no/such/image").one_line();
    run(".").fails_with(1, "is a directory: name a file in it").one_line();
    let ran = Filter::tar2ext4().arg("-o").arg(at("image")).arg(at("absent.tar")).run();
    ran.fails_with(1, "absent.tar").one_line();
    Filter::tar2ext4()
        .arg("-o")
        .arg(at("image"))
        .stdin("no tar at all ".repeat(99))
        .run()
        .fails_with(1, "at byte 0")
        .one_line();
}

#[test]
fn the_size_is_met_to_the_byte_and_what_is_needed_works_as_a_size() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let image = scratch.path().join("image");
    let sized = |size: &str| Filter::tar2ext4().arg("-o").arg(&image).args(["--size", size]).stdin(&*tar).run();
    for size in ["1M", "1234567", "129M", "4G"] {
        sized(size).succeeds().quiet();
        e2fsck_clean(&image);
        let bytes = fs::metadata(&image).unwrap().len();
        assert_eq!(bytes, oci2ext4::cli::parse_size(size).unwrap());
        // Free space takes none on disk (E9): there are 100,000 bytes of content, some tables, and the blocks in which
        // the resize inode lists what is reserved to grow into, 255 of them in 4 GiB.
        let disk = fs::metadata(&image).unwrap().blocks() * 512;
        assert!(disk < 2 << 20, "{size} takes {disk} bytes on disk");
    }
    let ran = sized("100K").one_line();
    let needed = ran.stderr.split("needs ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    ran.fails_with(1, "no space");
    sized(&needed).succeeds();
    e2fsck_clean(&image);
}

#[test]
fn the_report_is_json() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let flags = ["--json", "-L", "report", "-U", uuid, "-s", "8M", "-N", "128"];
    let ran = Filter::tar2ext4().arg("-o").arg(&image).args(flags).stdin(small_tar(scratch.path())).run().succeeds();
    let report: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(report["size"], 8 << 20);
    assert_eq!(report["blocks"], 2048);
    assert_eq!(report["inodes"], 128);
    assert_eq!(report["uuid"], uuid);
    assert_eq!(report["label"], "report");
    let said = dumpe2fs(&image);
    let free = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(report["free_blocks"].to_string(), free("Free blocks:"));
    assert_eq!(report["free_inodes"].to_string(), free("Free inodes:"));
}

#[test]
fn an_offset_touches_nothing_else() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let disk = scratch.path().join("disk");
    let (before, size, after) = (3 * 512 * 1000, 6 << 20, 777_777);
    let noise: Vec<u8> =
        (0..before + size + after).map(|n: usize| (n.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    fs::write(&disk, &noise).unwrap();
    let flags = ["--offset".to_owned(), before.to_string(), "--size".to_owned(), size.to_string()];
    Filter::tar2ext4().arg("-o").arg(&disk).args(&flags).stdin(&*tar).run().succeeds().quiet();
    let disk = fs::read(&disk).unwrap();
    assert!(disk[..before] == noise[..before], "what stands before was touched");
    assert!(disk[before + size..] == noise[before + size..], "what stands behind was touched");
    let inside = scratch.path().join("inside");
    fs::write(&inside, &disk[before..before + size]).unwrap();
    e2fsck_clean(&inside);
    let mount = LoopMount::read_only(&inside);
    assert_eq!(fs::read(mount.path().join("etc/hostname")).unwrap(), b"box\n");
    assert_eq!(fs::read(mount.path().join("data")).unwrap(), vec![5; 100_000]);
    mount.unmount();
    // The disk image has to be there.
    let absent = scratch.path().join("absent");
    Filter::tar2ext4().arg("-o").arg(&absent).args(&flags).stdin(&*tar).run().fails_with(1, "absent");
    assert!(!absent.exists());
    // And it does not grow: the partition table in it would not know.
    let full = scratch.path().join("full");
    for (offset, size, room) in [("2M", "4194305", 4 << 20), ("7M", "1M", 0), ("0", "7M", 6 << 20), ("1T", "1M", 0)] {
        fs::write(&full, vec![0xa5; 6 << 20]).unwrap();
        let flags = ["--offset", offset, "--size", size];
        let ran = Filter::tar2ext4().arg("-o").arg(&full).args(flags).stdin(&*tar).run().one_line();
        ran.fails_with(1, &format!("the disk image has only room for {room} bytes"));
        assert!(fs::read(&full).unwrap() == vec![0xa5; 6 << 20], "{flags:?}");
    }
    Filter::tar2ext4().arg("-o").arg(&full).args(["--offset=2M", "--size=4M"]).stdin(tar).run().succeeds().quiet();
}

#[test]
fn too_little_room_in_place_is_told_with_what_helps() {
    let scratch = scratch();
    let backing = scratch.path().join("backing");
    let tar = small_tar(scratch.path());
    let pack = |output: &Path, flags: &[&str]| Filter::tar2ext4().arg("-o").arg(output).args(flags).stdin(&*tar).run();
    let needed = |ran: crate::support::Ran| -> u64 {
        let said = ran.one_line().stderr;
        said.split("needs ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    fs::write(&backing, vec![0xa5; 128 << 10]).unwrap();
    let device = LoopDevice::over(&backing);
    // No --size helps on a device that is too small; not even none.
    let ran = pack(Path::new(device.path()), &[]);
    assert!(!ran.stderr.contains("--size"), "{}", ran.report());
    let bytes = needed(ran.fails_with(1, "there is room for 131072: it takes a larger device or disk image"));
    drop(device);
    // What is needed works there, and where the size was chosen too small.
    fs::write(&backing, vec![0xa5; usize::try_from(bytes).unwrap()]).unwrap();
    let device = LoopDevice::over(&backing);
    pack(Path::new(device.path()), &[]).succeeds().quiet();
    e2fsck_clean(device.path());
    let enough = needed(pack(Path::new(device.path()), &["--size", "100K"]).fails_with(1, "is enough, there is room"));
    assert!(enough <= bytes);
    pack(Path::new(device.path()), &["--size", &enough.to_string()]).succeeds().quiet();
    e2fsck_clean(device.path());
}

/// The calls that sync a device, one fault a run: before anything is written, before the primary superblock, after it.
#[test]
fn a_device_that_loses_writes_is_noticed_and_never_looks_like_a_file_system() {
    crate::support::needs(&["strace"]);
    let scratch = scratch();
    let tar = scratch.path().join("tar");
    fs::write(&tar, small_tar(scratch.path())).unwrap();
    let backing = scratch.path().join("backing");
    fs::write(&backing, vec![0xa5; 24 << 20]).unwrap();
    let device = LoopDevice::over(&backing);
    Filter::tool("mke2fs").args(["-q", "-t", "ext4", device.path()]).run().succeeds();
    let pack = |fault: &str| {
        let strace = Filter::tool("strace").args(["-f", "-qq", "-o"]).arg(scratch.path().join("trace"));
        let strace = strace.args(["-e", "trace=fdatasync,pwrite64", "-e", fault]);
        strace.arg(env!("CARGO_BIN_EXE_tar2ext4")).args(["-o", device.path()]).arg(&tar).run()
    };
    for call in 1..=3 {
        let ran = pack(&format!("inject=fdatasync:error=EIO:when={call}"));
        ran.fails_with(1, "Input/output error").one_line();
        if call < 3 {
            let found = Filter::tool("dumpe2fs").args(["-h", device.path()]).run();
            assert!(!found.status.success(), "after fault {call}: {}", found.report());
        }
    }
    // The place of the superblock is clear on the disk before anything else is written, and it is written last.
    pack("signal=none").succeeds();
    let trace = fs::read_to_string(scratch.path().join("trace")).unwrap();
    let calls: Vec<&str> =
        trace.lines().map(|line| if line.contains("fdatasync") { "sync" } else { "write" }).collect();
    assert_eq!(calls.iter().filter(|call| **call == "sync").count(), 3, "{trace}");
    assert_eq!(calls[0], "sync", "{trace}");
    assert_eq!(calls[calls.len() - 3..], ["sync", "write", "sync"], "{trace}");
    e2fsck_clean(device.path());
}

#[test]
fn an_epoch_in_the_future_is_no_complaint_and_gives_the_same_bytes() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    // 2100, what does not fit 32 bits, what an inode does not hold, what the superblock does not hold.
    for epoch in ["4102444800", "4294967296", "10737418240", "1099511627776", "9223372036854775807"] {
        let image = |name: &str| {
            let image = scratch.path().join(name);
            let filter = Filter::tar2ext4().env("SOURCE_DATE_EPOCH", epoch).arg("-o").arg(&image);
            filter.arg("-J").stdin(&*tar).run().succeeds().quiet();
            e2fsck_clean(&image);
            fs::read(image).unwrap()
        };
        assert!(image("first") == image("second"), "{epoch}");
    }
    let said = dumpe2fs(scratch.path().join("first"));
    assert!(!said.contains("Last write time:          Thu Jan  1 00:00:01"), "{said}");
}

#[test]
fn the_uuid_is_what_mke2fs_would_have() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let uuid = |choice: &str, epoch: Option<&str>| -> uuid::Uuid {
        let image = scratch.path().join("image");
        let filter = Filter::tar2ext4().args(["--json", "-U", choice, "-o"]).arg(&image).stdin(&*tar);
        let ran = match epoch {
            Some(epoch) => filter.env("SOURCE_DATE_EPOCH", epoch).run(),
            None => filter.run(),
        };
        let report: serde_json::Value = serde_json::from_str(ran.succeeds().text()).unwrap();
        e2fsck_clean(&image);
        let uuid = report["uuid"].as_str().unwrap();
        let shown = if choice == "clear" { "<none>" } else { uuid };
        assert!(dumpe2fs(&image).contains(&format!("Filesystem UUID:          {shown}")));
        uuid.parse().unwrap()
    };
    for epoch in [None, Some("1700000000")] {
        let (first, second) = (uuid("random", epoch), uuid("random", epoch));
        assert!(first != second && first.get_version_num() == 4);
        assert!(uuid("clear", epoch).is_nil());
        let (first, second) = (uuid("time", epoch), uuid("time", epoch));
        assert!(first != second && first.get_version_num() == 1);
        let (secs, _) = second.get_timestamp().unwrap().to_unix();
        assert!(epoch.is_none_or(|epoch| epoch == secs.to_string()), "{secs}");
    }
    let ran = Filter::tar2ext4().args(["-U", "never", "-o"]).arg(scratch.path().join("image")).stdin(tar).run();
    ran.fails_with(2, "random, time, clear").one_line();
}

#[test]
fn times_that_ext4_does_not_have_are_cut_with_one_warning() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let script = r#"
for name, time in (('1754', -6815952000), ('just', -2147483648.5), ('9999', 253402300799.5), ('2311', 10737418240), ('first', -2**31),
                   ('last', 10737418239), ('now', 1700000000)):
    member = tarfile.TarInfo(name)
    member.mtime = time
    tar.addfile(member)
"#;
    let ran = Filter::tar2ext4().arg("-o").arg(&image).stdin(python_tar(script)).run().succeeds().one_line();
    ran.says("4 times outside 1901 to 2310, the range of ext4, were cut to it");
    e2fsck_clean(&image);
    let mount = LoopMount::read_only(&image);
    let time = |name: &str| fs::metadata(mount.path().join(name)).unwrap().mtime();
    assert_eq!((time("1754"), time("just"), time("first")), (-(1 << 31), -(1 << 31), -(1 << 31)));
    assert_eq!((time("9999"), time("2311"), time("last")), (10_737_418_239, 10_737_418_239, 10_737_418_239));
    assert_eq!(time("now"), 1_700_000_000);
    mount.unmount();
}

#[test]
fn inodes_are_at_least_as_many_as_asked_for() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let tar = small_tar(scratch.path());
    for inodes in [14_u64, 17, 100, 1000, 70_001] {
        let flags = ["--json", "-N", &inodes.to_string(), "-s", "300M"];
        let ran = Filter::tar2ext4().arg("-o").arg(&image).args(flags).stdin(&*tar).run().succeeds();
        let report: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
        // Three groups, whose tables are whole blocks of 16 inodes.
        let made = report["inodes"].as_u64().unwrap();
        assert!((inodes..inodes + 3 * 16).contains(&made), "{made} inodes where {inodes} were asked for");
        e2fsck_clean(&image);
    }
}

#[test]
fn the_target_may_be_a_link_or_the_input_but_nothing_that_is_no_file() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let tar = small_tar(scratch.path());
    let pack = |output: &Path| Filter::tar2ext4().arg("-o").arg(output).stdin(&*tar).run();
    // As the shell's > does it: the link stays, what it names appears.
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    for _ in 0..2 {
        pack(&at("link")).succeeds().quiet();
        e2fsck_clean(at("real"));
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    }
    std::os::unix::fs::symlink("absent/real", at("dangling")).unwrap();
    pack(&at("dangling")).fails_with(1, "dangling").one_line();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    pack(&at("loop")).fails_with(1, "loop").one_line();
    tool("mkfifo", [at("fifo")]);
    for odd in [&at("fifo"), Path::new("/dev/null"), Path::new("/dev/full")] {
        pack(odd).fails_with(1, "neither a regular file nor a block device").one_line();
    }
    pack(scratch.path()).fails_with(1, "is a directory").one_line();
    // The new file takes the old one's place when the old one has been read.
    fs::write(at("both"), &tar).unwrap();
    Filter::tar2ext4().arg("-o").args([at("both"), at("both")]).run().succeeds().quiet();
    e2fsck_clean(at("both"));
    // Where it is written in place, that cannot be.
    fs::write(at("both"), &tar).unwrap();
    let in_place = |flags: &[&str]| Filter::tar2ext4().arg("-o").arg(at("both")).args(flags);
    in_place(&["--offset=0", "--size=1M"]).arg(at("both")).run().fails_with(1, "both: is the input too").one_line();
    in_place(&["--offset=1M", "--size=1M"]).stdin_file(at("both")).run().fails_with(1, "is the input too").one_line();
    assert!(fs::read(at("both")).unwrap() == tar);
}

#[test]
fn a_link_that_a_stranger_left_is_not_followed() {
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};
    needs_root("leave a link as another user");
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let tar = small_tar(scratch.path());
    let pack = |output: &Path, flags: &[&str]| Filter::tar2ext4().arg("-o").arg(output).args(flags).stdin(&*tar).run();
    fs::create_dir(at("tmp")).unwrap();
    fs::set_permissions(at("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(at("precious"), "old").unwrap();
    symlink(at("precious"), at("tmp/link")).unwrap();
    symlink("tmp/link", at("second")).unwrap();
    lchown(at("tmp/link"), Some(1234), Some(1234)).unwrap();
    // Not by the way over a link of one's own, and not in place either.
    for (name, flags) in [("tmp/link", &[][..]), ("second", &[]), ("tmp/link", &["--offset=0", "--size=1M"])] {
        pack(&at(name), flags).fails_with(1, "a link of another user (1234)").says(name).one_line();
        assert_eq!(fs::read(at("precious")).unwrap(), b"old");
        assert!(fs::symlink_metadata(at("tmp/link")).unwrap().is_symlink());
    }
    let config = Filter::oci_fetch().arg("--config").arg(at("tmp/link")).args(["--offline", "absent"]).run();
    config.fails_with(1, "a link of another user (1234)").one_line();
    // A file that a stranger left is replaced, and has no say in who may read and write the new one.
    fs::write(at("tmp/file"), "planted").unwrap();
    fs::set_permissions(at("tmp/file"), fs::Permissions::from_mode(0o666)).unwrap();
    std::os::unix::fs::chown(at("tmp/file"), Some(1234), Some(1234)).unwrap();
    shell("umask 077; exec tar2ext4 -o \"$0\"").arg(at("tmp/file")).stdin(&*tar).run().succeeds();
    let made = fs::metadata(at("tmp/file")).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o777), (0, 0o600));
    // One's own link, there or elsewhere, is followed.
    symlink(at("precious"), at("tmp/own")).unwrap();
    pack(&at("tmp/own"), &[]).succeeds().quiet();
    e2fsck_clean(at("precious"));
}

#[test]
fn the_report_is_safe_before_the_old_image_is_gone() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    fs::write(&image, "old").unwrap();
    let tar = small_tar(scratch.path());
    let full = Filter::tar2ext4().arg("--json").arg("-o").arg(&image).stdin(&*tar).stdout_file("/dev/full").run();
    full.fails_with(1, "standard output: No space left on device").one_line();
    assert_eq!(fs::read(&image).unwrap(), b"old");
    // Nor does a reader that has left get another image.
    let pipe = shell("{ tar2ext4 --json -o \"$0\"; echo status $? >&2; } | true").arg(&image).stdin(tar).run();
    pipe.succeeds().stderr_is("status 1\n");
    assert_eq!(fs::read(&image).unwrap(), b"old");
}

#[test]
fn an_output_is_no_stream() {
    let scratch = scratch();
    let dash = |filter: Filter, flag: &str| filter.current_dir(scratch.path()).args([flag, "-"]);
    dash(Filter::tar2ext4(), "-o").run().fails_with(2, "cannot go to standard output: name a file").one_line();
    dash(Filter::oci_fetch(), "--config").arg("nginx").run().fails_with(2, "cannot go to standard output").one_line();
    assert!(!scratch.path().join("-").exists());
    let named = Filter::tar2ext4().current_dir(scratch.path()).args(["-o", "./-"]);
    named.stdin(small_tar(scratch.path())).run().succeeds();
    e2fsck_clean(scratch.path().join("-"));
}

#[test]
fn a_block_device_is_filled_and_a_cut_run_is_no_file_system() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let backing = scratch.path().join("backing");
    let mut file = fs::File::create(&backing).unwrap();
    for n in 0..24_u8 {
        file.write_all(&vec![n | 0x40; 1 << 20]).unwrap();
    }
    let device = LoopDevice::over(&backing);
    Filter::tool("mke2fs").args(["-q", "-t", "ext4", device.path()]).run().succeeds();

    // The old file system must not outlive a run that failed.
    let cut = Filter::tar2ext4().args(["-o", device.path()]).stdin(&tar[..50_000]).run();
    cut.fails_with(1, "cut").one_line();
    let mut superblock = [0; 1024];
    fs::File::open(device.path()).unwrap().read_exact_at(&mut superblock, 1024).unwrap();
    assert_ne!(superblock[56..58], [0x53, 0xef], "a cut run left the old superblock");

    Filter::tar2ext4().args(["-o", device.path()]).stdin(&*tar).run().succeeds().quiet();
    e2fsck_clean(device.path());
    assert!(dumpe2fs(device.path()).contains("Block count:              6144"));
    let itself = Filter::tar2ext4().args(["-o", device.path(), device.path()]).run();
    itself.fails_with(1, "is the input too").one_line();
    e2fsck_clean(device.path());
    let small = Filter::tar2ext4().args(["-o", device.path(), "--size", "25M"]).stdin(&*tar).run();
    small.fails_with(1, "the device has only room for 25165824 bytes").one_line();
    Filter::tar2ext4().args(["-o", device.path(), "--size", "5M", "--fsync"]).stdin(&*tar).run().succeeds().quiet();
    e2fsck_clean(device.path());
    let mount = LoopMount::with_options(Path::new(device.path()), "ro");
    let expected = Snapshot::of(scratch.path().join("tree")).mask_path("lost+found", "tar2ext4 makes it");
    expected.mask_field("*", "mtime", "tar set it").assert_same(&Snapshot::of(mount.path()));
    // The kernel says who holds it; we do not write over it.
    let busy = Filter::tar2ext4().args(["-o", device.path()]).stdin(tar).run();
    busy.fails_with(1, "busy").one_line();
    mount.unmount();
}

/// Starts a run that has read the first `bytes` of the tar and waits for more, and sends it `signal`.
fn stop_within(image: &Path, directory: &Path, tar: &[u8], bytes: usize, signal: Signal) {
    let fifo = directory.join("fifo");
    let _ = fs::remove_file(&fifo);
    tool("mkfifo", [&fifo]);
    let running = Filter::tar2ext4().arg("-o").arg(image).arg(&fifo).spawn();
    let mut writer = fs::File::options().write(true).open(&fifo).unwrap();
    writer.write_all(&tar[..bytes]).unwrap();
    // The pipe is empty when all was read.
    while rustix::io::ioctl_fionread(&writer).unwrap() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(u64::try_from(bytes % 20).unwrap()));
    running.signal(signal);
    let ran = running.wait();
    assert!(!ran.status.success(), "{}", ran.report());
}

#[test]
fn a_killed_run_leaves_the_old_file_and_nothing_else() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let image = scratch.path().join("out/image");
    fs::create_dir(image.parent().unwrap()).unwrap();
    fs::write(&image, "old").unwrap();
    for (at, signal) in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP].into_iter().cycle().take(20).enumerate()
    {
        stop_within(&image, scratch.path(), &tar, (at + 1) * tar.len() / 23, signal);
        assert_eq!(fs::read(&image).unwrap(), b"old");
        assert_eq!(fs::read_dir(image.parent().unwrap()).unwrap().count(), 1, "something is left beside the image");
    }
}

#[test]
fn a_killed_run_leaves_no_file_system_on_a_device() {
    let scratch = scratch();
    let tar = small_tar(scratch.path());
    let backing = scratch.path().join("backing");
    fs::File::create(&backing).unwrap().set_len(64 << 20).unwrap();
    let device = LoopDevice::over(&backing);
    for at in 1..6 {
        Filter::tool("mke2fs").args(["-q", "-F", "-t", "ext4", device.path()]).run().succeeds();
        stop_within(Path::new(device.path()), scratch.path(), &tar, at * tar.len() / 7, Signal::KILL);
        let probe = Filter::tool("blkid").args(["-p", "-s", "TYPE", device.path()]).run();
        assert!(!probe.text().contains("ext4"), "a killed run looks like a file system\n{}", probe.report());
    }
}

#[test]
fn progress_can_be_plain() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let run =
        Filter::tar2ext4().arg("-o").arg(&image).args(["--progress", "plain"]).stdin(small_tar(scratch.path())).run();
    run.succeeds().says("tar2ext4: packed: ").one_line();
}

#[test]
fn the_same_tree_gives_the_same_bytes_with_source_date_epoch() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    small_tar(scratch.path());
    shell("cd \"$0\"; truncate -s 1M hole; printf x >> hole; ln data etc/link; ln -s data soft; mkfifo fifo")
        .arg(&tree)
        .run()
        .succeeds();
    let image = |name: &str, tar: &str| {
        let image = scratch.path().join(name);
        let script = format!("{tar} | tar2ext4 -o \"$1\"");
        let ran = shell(&script).arg(&tree).arg(&image).env("SOURCE_DATE_EPOCH", "1700000000").run();
        ran.succeeds().quiet();
        e2fsck_clean(&image);
        fs::read(image).unwrap()
    };
    let first = image("first", "tar -C \"$0\" --mtime=@1600000000 --format=gnu -cf - .");
    for (name, tar) in [
        ("again", "tar -C \"$0\" --mtime=@1600000000 --format=gnu -cf - ."),
        ("pax", "tar -C \"$0\" --mtime=@1600000000 --format=pax -cf - ."),
        ("gzip", "tar -C \"$0\" --mtime=@1600000000 --format=gnu -cf - . | gzip -1"),
        ("zstd", "tar -C \"$0\" --mtime=@1600000000 --format=gnu -cf - . | zstd -q"),
        ("xz", "tar -C \"$0\" --mtime=@1600000000 --format=gnu -cf - . | xz -1"),
        ("bzip2", "tar -C \"$0\" --mtime=@1600000000 --format=gnu -cf - . | bzip2"),
    ] {
        assert!(image(name, tar) == first, "{name}: other bytes");
    }
    let other = image("other", "tar -C \"$0\" --mtime=@1600000000 --format=gnu --exclude=./fifo -cf - .");
    assert_ne!(other[1024 + 104..1024 + 120], first[1024 + 104..1024 + 120], "another content, the same UUID");
}
