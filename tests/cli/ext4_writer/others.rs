//! What other programs make of an image: `resize2fs`, `dumpe2fs`, `e2fsck` on a backup, the kernel.

use std::fs;
use std::io::{BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::tree::{IDENTITY, Image, TestTree};
use crate::support::{Filter, LoopMount, dumpe2fs, e2fsck_clean, tool};
use oci2ext4::ext4::{Free, ImageWriter, InPlace, Journal, Options};
use oci2ext4::meta::NodeKind;

const MIB: u64 = 1 << 20;

/// Some files with content, of `bytes` bytes together.
fn write_files(image: &Image, options: &Options, bytes: u64) {
    let mut writer = image.writer(options);
    let mut tree = TestTree::new();
    let dir = tree.dir(0, "dir");
    let each = bytes / 10;
    for n in 0..10_u8 {
        let mut input = BufReader::new(std::io::repeat(n + 1).take(each));
        let data = writer.write_data(&mut input, each).unwrap();
        tree.add(dir, format!("file {n}"), NodeKind::File(data));
    }
    for n in 0..2000 {
        tree.add(dir, format!("pipe {n}"), NodeKind::Fifo);
    }
    writer.finish(&tree, &IDENTITY).unwrap();
    image.fsck();
}

fn check_files(root: &Path, bytes: u64) {
    for n in 0..10_u8 {
        let content = fs::read(root.join(format!("dir/file {n}"))).unwrap();
        assert!(content.len() as u64 == bytes / 10 && content.iter().all(|&byte| byte == n + 1), "file {n}");
    }
    assert_eq!(fs::read_dir(root.join("dir")).unwrap().count(), 2010);
}

/// Everything that `write_files` makes is there and the image stays clean.
fn check(image: &Image, bytes: u64) {
    image.fsck();
    let mount = LoopMount::read_write(image.path());
    check_files(mount.path(), bytes);
    mount.unmount();
    image.fsck();
}

#[test]
fn resize2fs_grows_offline_by_eight_and_shrinks_to_the_least() {
    for options in [
        Options { size: Some(100 * MIB), ..Options::default() },
        Options { size: Some(22 * MIB), ..Options::default() },
        Options { size: Some(200 * MIB + 12_345), compat: true, ..Options::default() },
        Options { free: Free::Bytes(300 * MIB), journal: Some(Journal::Auto), ..Options::default() },
        Options::default(),
    ] {
        let image = Image::new();
        let bytes = 20 * MIB;
        write_files(&image, &options, bytes);
        let size = image.open().metadata().unwrap().len();
        image.open().set_len(size * 8).unwrap();
        tool("resize2fs", [image.path()]);
        check(&image, bytes);
        tool("e2fsck", ["-fp".as_ref(), image.path().as_os_str()]); // what was mounted must be checked first
        tool("resize2fs", ["-M".as_ref(), image.path().as_os_str()]);
        check(&image, bytes);
    }
}

#[test]
fn resize2fs_shrinks_what_was_never_grown() {
    for options in [Options { size: Some(500 * MIB), ..Options::default() }, Options::default()] {
        let image = Image::new();
        write_files(&image, &options, 20 * MIB);
        tool("resize2fs", ["-M".as_ref(), image.path().as_os_str()]);
        check(&image, 20 * MIB);
    }
}

#[test]
fn a_backup_of_the_superblock_recovers_a_wiped_one() {
    for options in [
        Options { size: Some(300 * MIB), ..Options::default() },
        Options { free: Free::Bytes(300 * MIB), journal: Some(Journal::Auto), ..Options::default() },
        Options { size: Some(300 * MIB), compat: true, ..Options::default() },
    ] {
        let image = Image::new();
        write_files(&image, &options, 20 * MIB);
        image.open().write_all_at(&[0; 8192], 0).unwrap(); // superblock and first descriptors
        let repair = Filter::tool("e2fsck").args(["-fy", "-b", "32768", "-B", "4096"]).arg(image.path()).run();
        assert_eq!(repair.status.code(), Some(1), "{}", repair.report());
        check(&image, 20 * MIB);
    }
}

#[test]
fn the_features_are_those_of_mke2fs() {
    let image = Image::new();
    let features = |options: &Options| {
        image.write(options, &TestTree::new());
        let shown = dumpe2fs(image.path());
        let line = shown.lines().find_map(|line| line.strip_prefix("Filesystem features:")).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let common = "ext_attr resize_inode dir_index filetype extent flex_bg sparse_super large_file huge_file dir_nlink extra_isize";
    assert_eq!(features(&Options::default()), format!("{common} metadata_csum"));
    assert_eq!(features(&Options { compat: true, ..Options::default() }), common);
    let journal = Options { journal: Some(Journal::Bytes(8 * MIB)), ..Options::default() };
    assert_eq!(features(&journal), format!("has_journal {common} metadata_csum"));
    assert!(dumpe2fs(image.path()).contains("Total journal size:       8M\n"));
}

#[test]
fn the_journal_is_as_large_as_mke2fs_makes_it() {
    for (size, journal) in [
        (8, 1024),
        (128, 4096),
        (1024, 8192),
        (2048, 16_384),
        (16 << 10, 32_768),
        (40 << 10, 65_536),
        (130 << 10, 262_144),
    ] {
        let image = Image::new();
        let options = Options { size: Some(size * MIB), journal: Some(Journal::Auto), ..Options::default() };
        image.write(&options, &TestTree::new());
        let shown = dumpe2fs(image.path());
        assert!(shown.contains(&format!("Total journal blocks:     {journal}\n")), "{size} MiB: {shown}");
    }
}

#[test]
fn inside_a_disk_image_nothing_else_is_touched() {
    let image = Image::new();
    let disk = image.path();
    let noise: Vec<u8> = (0..40 * MIB).map(|n| (n % 253) as u8).collect();
    fs::write(&disk, &noise).unwrap();
    let (offset, size) = (MIB + 512, 30 * MIB + 1000);
    let options = Options { size: Some(size), offset, journal: Some(Journal::Auto), ..Options::default() };
    let mut writer = ImageWriter::new(InPlace(image.open()), &options).unwrap();
    let mut tree = TestTree::new();
    let data = writer.write_data(&mut &noise[..100_000], 100_000).unwrap();
    tree.add(0, "noise", NodeKind::File(data));
    writer.finish(&tree, &IDENTITY).unwrap();

    let after = fs::read(&disk).unwrap();
    let (start, end) = (offset as usize, (offset + size / 4096 * 4096) as usize);
    assert_eq!(after.len(), noise.len());
    assert!(after[..start] == noise[..start] && after[end..] == noise[end..]);
    let inside = image.path().with_file_name("inside");
    fs::write(&inside, &after[start..end]).unwrap();
    e2fsck_clean(&inside);
    let mount = LoopMount::read_write(&inside);
    assert_eq!(fs::read(mount.path().join("noise")).unwrap(), &noise[..100_000]);
}

#[test]
fn the_kernel_shows_and_changes_every_image() {
    for options in [
        Options::default(),
        Options { compat: true, ..Options::default() },
        Options { journal: Some(Journal::Auto), ..Options::default() },
        Options { size: Some(1000 * MIB + 4096 * 3), ..Options::default() },
    ] {
        let image = Image::new();
        write_files(&image, &options, 5 * MIB);
        let mount = LoopMount::read_write(image.path());
        check_files(mount.path(), 5 * MIB);
        let root = fs::metadata(mount.path()).unwrap();
        assert_eq!((root.ino(), root.nlink(), root.mode() & 0o7777), (2, 4, 0o755));
        let lost = fs::metadata(mount.path().join("lost+found")).unwrap();
        assert_eq!((lost.ino(), lost.size(), lost.mode() & 0o7777), (11, 16_384, 0o700));
        for n in 0..1000 {
            fs::write(mount.path().join(format!("dir/new {n}")), [7; 5000]).unwrap();
        }
        fs::remove_file(mount.path().join("dir/file 3")).unwrap();
        for n in 0..500 {
            fs::remove_file(mount.path().join(format!("dir/pipe {n}"))).unwrap();
        }
        mount.unmount();
        image.fsck();
    }
}
