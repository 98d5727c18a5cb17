//! `tar2ext4 --verity`: hash trees that `veritysetup` and nobody else has to believe (E12).

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    Filter, LoopDevice, PeakMemory, Ran, Tmpfs, e2fsck_clean, least_costs, needs, processor_seconds, scratch, shell,
};

/// A tar of random files, some with holes.
fn random_tar(directory: &Path, random: &mut fastrand::Rng) -> Vec<u8> {
    let tree = directory.join("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(tree.join("sub")).unwrap();
    for n in 0..random.u32(0..30) {
        let scale = random.u32(0..19);
        let content: Vec<u8> = (0..random.usize(0..1 << scale)).map(|_| random.u8(..)).collect();
        let file = File::create(tree.join(if random.bool() { format!("sub/{n}") } else { n.to_string() })).unwrap();
        file.write_all_at(&content, if random.bool() { 0 } else { random.u64(0..1 << 20) }).unwrap();
    }
    shell("tar -C \"$0\" --sparse --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf - .")
        .arg(&tree)
        .run()
        .succeeds()
        .stdout
}

fn pack(image: &Path, tar: &[u8], flags: &[&str]) -> Ran {
    Filter::tar2ext4().arg("-o").arg(image).args(flags).stdin(tar).run()
}

/// What `--json` says, of which `verity` is the tree's.
fn report(ran: Ran) -> Value {
    serde_json::from_str(ran.succeeds().text()).unwrap()
}

fn text(report: &Value, name: &str) -> String {
    report["verity"][name].as_str().unwrap().to_owned()
}

fn number(report: &Value, name: &str) -> u64 {
    report["verity"][name].as_u64().unwrap()
}

/// Whether `veritysetup verify` says that `data` is what `tree` and the root hash say.
fn verifies(data: &Path, tree: &Path, root: &str, hash_offset: u64) -> bool {
    let offset = format!("--hash-offset={hash_offset}");
    Filter::tool("veritysetup").arg("verify").args([data, tree]).args([root, &offset]).run().status.success()
}

/// The part of a file that holds the file system, as a file of its own.
fn file_system(image: &Path, bytes: u64, to: PathBuf) -> PathBuf {
    fs::copy(image, &to).unwrap();
    File::options().write(true).open(&to).unwrap().set_len(bytes).unwrap();
    to
}

#[test]
fn veritysetup_says_yes_and_computes_the_same_root_hash() {
    needs(&["veritysetup"]);
    let scratch = scratch();
    let (image, own) = (scratch.path().join("image"), scratch.path().join("tree.verity"));
    let mut random = fastrand::Rng::with_seed(12);
    for round in 0..54 {
        let tar = random_tar(scratch.path(), &mut random);
        let size = (round % 5 == 0).then(|| random.u64(2 << 20..40 << 20).to_string());
        let in_a_file = format!("--verity={}", own.display());
        let mut flags = vec!["--json", if round % 3 == 0 { &in_a_file } else { "--verity" }];
        flags.extend(size.iter().flat_map(|size| ["--size", size]));
        if round % 7 == 0 {
            flags.push("--compat");
        }
        let report = report(pack(&image, &tar, &flags));
        let tree = if round % 3 == 0 { &own } else { &image };
        let (root, offset) = (text(&report, "root_hash"), number(&report, "hash_offset"));
        assert!(verifies(&image, tree, &root, offset), "{flags:?}: {report}");
        // --size is the file system's; the tree stands on whole blocks behind it.
        let bytes = report["size"].as_u64().unwrap();
        if let Some(size) = &size {
            assert_eq!(bytes, size.parse::<u64>().unwrap());
        }
        assert_eq!(offset, if round % 3 == 0 { 0 } else { bytes.next_multiple_of(4096) });
        assert_eq!(number(&report, "data_blocks"), bytes / 4096);
        let plain = file_system(&image, bytes, scratch.path().join("plain"));
        e2fsck_clean(&plain);
        // Theirs over the same data with the same salt and UUID.
        let theirs = scratch.path().join("theirs");
        let _ = fs::remove_file(&theirs);
        let salt = format!("--salt={}", text(&report, "salt"));
        let uuid = format!("--uuid={}", text(&report, "uuid"));
        let blocks = format!("--data-blocks={}", bytes / 4096);
        let format = Filter::tool("veritysetup").arg("format").args([salt, uuid, blocks]).args([&plain, &theirs]).run();
        let format = format.succeeds();
        let line = format.text().lines().find(|line| line.starts_with("Root hash:")).unwrap().to_owned();
        assert_eq!(line.split_whitespace().last(), Some(&*root));
        let ours = fs::read(tree).unwrap().split_off(usize::try_from(offset).unwrap());
        assert!(fs::read(&theirs).unwrap() == ours, "{flags:?}: the tree is another");
    }
}

#[test]
fn veritysetup_says_no_after_any_byte_changed() {
    needs(&["veritysetup"]);
    let scratch = scratch();
    let image = scratch.path().join("image");
    let mut random = fastrand::Rng::with_seed(200);
    let tar = random_tar(scratch.path(), &mut random);
    let report = report(pack(&image, &tar, &["--json", "--verity"]));
    let (root, offset) = (text(&report, "root_hash"), number(&report, "hash_offset"));
    assert!(verifies(&image, &image, &root, offset));
    let file = File::options().read(true).write(true).open(&image).unwrap();
    let end = file.metadata().unwrap().len();
    let tree = offset + 4096; // behind the superblock, of which not every byte means something
    for round in 0..400 {
        let at = if round % 2 == 0 { random.u64(0..offset) } else { random.u64(tree..end) };
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << random.u8(0..8))], at).unwrap();
        assert!(!verifies(&image, &image, &root, offset), "byte {at} of {end} changed and nobody sees it");
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(verifies(&image, &image, &root, offset));
}

#[test]
fn the_same_content_has_the_same_root_hash() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let tar = random_tar(scratch.path(), &mut fastrand::Rng::with_seed(3));
    let pack = |name: &str, epoch: Option<&str>, verity: &str| {
        let filter = Filter::tar2ext4().arg("-o").arg(at(name)).args(["--json", verity]).stdin(&*tar);
        report(match epoch {
            Some(epoch) => filter.env("SOURCE_DATE_EPOCH", epoch).run(),
            None => filter.run(),
        })
    };
    let (first, second) = (pack("a", Some("0"), "--verity"), pack("b", Some("0"), "--verity"));
    assert_eq!(first, second);
    assert!(fs::read(at("a")).unwrap() == fs::read(at("b")).unwrap());
    // Wherever the tree stands; but not at random.
    let own = pack("c", Some("0"), &format!("--verity={}", at("c.tree").display()));
    assert_eq!(text(&own, "root_hash"), text(&first, "root_hash"));
    assert_ne!(text(&pack("d", None, "--verity"), "salt"), text(&pack("e", None, "--verity"), "salt"));
}

#[test]
fn the_root_hash_is_told_and_what_makes_no_sense_is_refused() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let tar = random_tar(scratch.path(), &mut fastrand::Rng::with_seed(4));
    let said = pack(&image, &tar, &["--verity"]).succeeds().one_line();
    said.says("tar2ext4: verity: root hash ").says(", salt ").says(", hash offset ").says(", data blocks ");
    // A read-only file system needs no space that is free: here no more than to a whole MiB.
    let report = report(pack(&image, &tar, &["--verity", "--json"]));
    assert!(report["free_blocks"].as_u64().unwrap() < 300, "{report}");
    fs::write(&image, "old").unwrap();
    pack(&image, &tar, &["--verity", "-J"]).fails_with(2, "--journal").one_line();
    let itself = format!("--verity={}", image.display());
    pack(&image, &tar, &[&itself]).fails_with(1, "is the image too").one_line();
    fs::create_dir(scratch.path().join("sub")).unwrap();
    let by_another_way = format!("--verity={}", scratch.path().join("sub/../image").display());
    pack(&image, &tar, &[&by_another_way]).fails_with(1, "is the image too").one_line();
    pack(&image, &tar, &["--verity=no/such/tree"]).fails_with(1, "no/such/tree").one_line();
    pack(&image, &tar[..tar.len() / 2], &["--verity"]).fails_with(1, "tar2ext4: ").one_line();
    // Neither without the other.
    let tree = scratch.path().join("tree.verity");
    fs::write(&tree, "old").unwrap();
    let own = format!("--verity={}", tree.display());
    pack(&image, &tar[..tar.len() / 2], &[&own]).fails_with(1, "tar2ext4: ").one_line();
    assert_eq!((fs::read(&image).unwrap(), fs::read(&tree).unwrap()), (b"old".to_vec(), b"old".to_vec()));
}

#[test]
fn a_tree_stands_behind_a_file_system_on_a_device_or_in_a_disk_image() {
    needs(&["veritysetup"]);
    let scratch = scratch();
    let tar = random_tar(scratch.path(), &mut fastrand::Rng::with_seed(5));
    let backing = scratch.path().join("backing");
    fs::write(&backing, vec![0xa5; 24 << 20]).unwrap();
    let device = LoopDevice::over(&backing);
    let on_device = Path::new(device.path());
    // File system and tree fill it.
    let filled = report(pack(on_device, &tar, &["--json", "--verity"]));
    let (root, offset) = (text(&filled, "root_hash"), number(&filled, "hash_offset"));
    assert!(verifies(on_device, on_device, &root, offset));
    let blocks = number(&filled, "data_blocks");
    assert_eq!(blocks + 1 + blocks.div_ceil(128) + blocks.div_ceil(128).div_ceil(128), (24 << 20) / 4096);
    pack(on_device, &tar, &["--verity", "--size", "24M"]).fails_with(1, "file system and its hash tree").one_line();
    drop(device);
    // In the middle of a disk image, of which nothing else is touched.
    fs::write(&backing, vec![0xa5; 24 << 20]).unwrap();
    let flags = ["--json", "--verity", "--offset", "1M", "--size", "20M"];
    let inside = report(pack(&backing, &tar, &flags));
    let disk = fs::read(&backing).unwrap();
    let part = scratch.path().join("part");
    fs::write(&part, &disk[1 << 20..]).unwrap();
    assert!(verifies(&part, &part, &text(&inside, "root_hash"), number(&inside, "hash_offset")));
    let end = (21 << 20) + 4096 * (1 + 40 + 1);
    assert!(disk[..1 << 20].iter().chain(&disk[end..]).all(|byte| *byte == 0xa5));
}

/// Zeros are hashed once a level, so that time goes into writing the tree alone: a file system of 1 TiB is 8 GiB of tree.
#[test]
#[ignore = "check-full: 8 GiB are written"]
fn a_large_sparse_image_takes_seconds() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let tar = random_tar(scratch.path(), &mut fastrand::Rng::with_seed(6));
    let start = std::time::Instant::now();
    let report = report(pack(&image, &tar, &["--json", "--verity", "--size", "1T"]));
    let took = start.elapsed();
    assert_eq!(number(&report, "data_blocks"), 1 << 28);
    let on_disk = fs::metadata(&image).unwrap().blocks() * 512;
    assert!(on_disk < 8800 << 20, "{on_disk} bytes on disk");
    // Reading all of it would take minutes.
    assert!(took.as_secs() < 60, "{took:?}");
}

/// What hashing takes, as it says itself, beside `veritysetup format` of the same image; the least of three rounds, for memory
/// that nobody had before can take longer to get than all of it. What it adds to packing is no measure: both times vary by
/// more than that.
#[test]
#[ignore = "check-full: 4 GiB of noise, packed and hashed three times"]
fn hashing_takes_less_than_veritysetup_does() {
    needs(&["veritysetup"]);
    let scratch = scratch();
    let memory = PeakMemory::new(scratch.path());
    let [tar, image, ours_tree, their_tree] =
        ["noise.tar", "image", "ours", "theirs"].map(|name| scratch.path().join(name));
    let noise = "head -c 4G /dev/urandom > \"$1/noise\"; tar -cf \"$0\" -C \"$1\" noise; rm \"$1/noise\"";
    shell(noise).arg(&tar).arg(scratch.path()).run().succeeds();
    let with_memory = format!("{} tar2ext4 -v --verity=\"$2\" -o \"$0\" \"$1\"", memory.of("hashing"));
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let ran = shell(&with_memory).args([&image, &tar, &ours_tree]).run().succeeds();
        let line = ran.stderr.lines().find(|line| line.contains(": hash tree over ")).expect("how long it took");
        let seconds = line.trim_end_matches(" s").rsplit(' ').next().unwrap();
        ours = ours.min(seconds.parse().unwrap());
        let start = std::time::Instant::now();
        shell("veritysetup format \"$0\" \"$1\" > /dev/null").args([&image, &their_tree]).run().succeeds();
        theirs = theirs.min(start.elapsed().as_secs_f64());
    }
    let peak = memory.kib("hashing");
    println!("hashing {ours:.2} s, veritysetup {theirs:.2} s, {peak} KiB");
    assert!(ours <= 0.6 * theirs, "{ours} s; veritysetup {theirs} s");
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn a_full_disk_leaves_neither_image_nor_tree() {
    let scratch = scratch();
    let mut random = fastrand::Rng::with_seed(7);
    let tar = random_tar(scratch.path(), &mut random);
    let disk = scratch.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let tmpfs = Tmpfs::at(&disk, "size=64m");
    let (image, own) = (disk.join("image"), disk.join("tree.verity"));
    let in_a_file = format!("--verity={}", own.display());
    for verity in ["--verity", &in_a_file] {
        pack(&image, &tar, &["--size", "40M", verity]).succeeds();
        let taken = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.blocks() * 512);
        let needed = taken(&image) + taken(&own);
        // From one that has no room for the image to one that lacks a block of the tree.
        for missing in [needed - 8192, 400 << 10, 100 << 10, 8192, 4096] {
            fs::write(&image, "old").unwrap();
            fs::write(&own, "old").unwrap();
            tmpfs.remount(&format!("size={}", needed + 8192 - missing));
            let ran = pack(&image, &tar, &["--size", "40M", verity]);
            ran.fails_with(1, "No space left").one_line();
            assert_eq!((fs::read(&image).unwrap(), fs::read(&own).unwrap()), (b"old".to_vec(), b"old".to_vec()));
            assert_eq!(fs::read_dir(&disk).unwrap().count(), 2, "something is left");
        }
        tmpfs.remount("size=64m");
        fs::remove_file(&own).unwrap();
    }
}

#[test]
fn hashing_costs_in_proportion_and_no_memory() {
    let scratch = scratch();
    let memory = PeakMemory::new(scratch.path());
    let make = |name: &str, mib: u32| {
        let tar = scratch.path().join(name);
        let script = format!("head -c {mib}M /dev/urandom > \"$0.data\"; tar -cf \"$0\" -C \"$1\" {name}.data");
        shell(&script).arg(&tar).arg(scratch.path()).run().succeeds();
        tar
    };
    let (small, large) = (make("small", 32), make("large", 128));
    let image = scratch.path().join("image");
    let cost =
        |tar: &Path| processor_seconds("tar2ext4 -q --verity -o \"$0\" \"$1\" 2>/dev/null; true", &[&image, tar]);
    let (least, most) = least_costs(|| cost(&small), || cost(&large));
    assert!(most < 5.0 * least, "32 MiB: {least} s, 128 MiB: {most} s");
    let peak = |name: &str, tar: &Path| {
        let script = format!("{} tar2ext4 --verity -o \"$0\" \"$1\"", memory.of(name));
        shell(&script).arg(&image).arg(tar).run().succeeds();
        memory.kib(name)
    };
    let (least, most) = (peak("small", &small), peak("large", &large));
    assert!(most < least + (8 << 10) && most < 64 << 10, "32 MiB: {least} KiB, 128 MiB: {most} KiB");
}
