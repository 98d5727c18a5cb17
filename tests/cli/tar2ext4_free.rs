//! `tar2ext4 --free`: what it says can be written (E13).

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::support::{Filter, LoopMount, e2fsck_clean, scratch, shell};

/// Writes into new files of at most `each` bytes until there is no space; tells how many bytes went in.
fn fill(directory: &Path, each: u64) -> u64 {
    let mut all = 0;
    for number in 0.. {
        let written = fill_one(&directory.join(format!("new {number}")), each);
        all += written;
        if written < each {
            break;
        }
    }
    all
}

fn fill_one(path: &Path, most: u64) -> u64 {
    let mut file = match fs::File::create(path) {
        Err(error) if error.kind() == ErrorKind::StorageFull => return 0,
        file => file.unwrap(),
    };
    let buffer = [0x5a; 4096];
    let mut written = 0;
    while written < most {
        match file.write(&buffer) {
            Ok(length) => written += length as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => panic!("{error}"),
        }
    }
    match file.sync_all() {
        Ok(()) => written,
        Err(error) => panic!("what was written is not: {error}"),
    }
}

fn packed(directory: &Path, content: u64, flags: &[&str]) -> std::path::PathBuf {
    let (data, image) = (directory.join("data"), directory.join("image"));
    shell("yes | head -c \"$1\" > \"$0\"").arg(&data).arg(content.to_string()).run().succeeds();
    let tar = directory.join("tar");
    shell("tar -C \"$0\" -cf \"$1\" data").arg(directory).arg(&tar).run().succeeds();
    Filter::tar2ext4().arg("-o").arg(&image).args(flags).arg(&tar).run().succeeds().quiet();
    e2fsck_clean(&image);
    image
}

#[test]
fn what_was_asked_for_can_be_written() {
    let scratch = scratch();
    // The kernel keeps 2 %, at most 16 MiB, of all images for itself.
    for (content, flags, asked) in [
        (0, &["--free", "1M"][..], 1 << 20),
        (5 << 20, &["--free", "10M"], 10 << 20),
        (1000 << 20, &["--free", "10M"], 10 << 20),
        (900 << 20, &["--free", "10M", "-J", "-m", "1"], 10 << 20), // root may write what -m keeps, too
        (60 << 20, &["--free", "200M", "--compat"], 200 << 20),
        (100 << 20, &[], 16 << 20),
    ] {
        // In one file, as dd would, and in many, as cp -r would.
        for each in [u64::MAX, 128 << 10] {
            let image = packed(scratch.path(), content, flags);
            let mount = LoopMount::read_write(&image);
            let written = fill(mount.path(), each);
            mount.unmount();
            assert!(written >= asked, "{content} bytes of content, {flags:?}: {written} of {asked} bytes were written");
            e2fsck_clean(&image);
        }
    }
}

#[test]
fn a_percentage_is_one_of_the_image() {
    let scratch = scratch();
    for (percent, part) in [("10%", 10), ("50%", 50), ("90%", 90)] {
        let image = packed(scratch.path(), 30 << 20, &["--free", percent]);
        let size = fs::metadata(&image).unwrap().len();
        let mount = LoopMount::read_write(&image);
        let written = fill(mount.path(), u64::MAX);
        mount.unmount();
        assert!(written >= size * part / 100, "--free {percent} of {size} bytes: {written} could be written");
        // And not much more.
        assert!(written <= size * part / 100 + (4 << 20), "--free {percent} of {size} bytes: {written}");
    }
}

#[test]
fn no_free_space_is_none() {
    let scratch = scratch();
    let image = packed(scratch.path(), 60 << 20, &["--free", "0"]);
    let size = fs::metadata(&image).unwrap().len();
    assert!(size < 63 << 20, "{size}");
}
