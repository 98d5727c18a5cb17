//! `tar2ext4`: cost grows with the number of files, not with its square (E6, S5).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Filter, LoopMount, e2fsck_clean, scratch};

/// Writes a tar of `files` small files in one directory, by Python's tarfile.
fn one_directory(files: u32, tar: &Path) {
    let script = r#"
import sys, tarfile, io
with tarfile.open(sys.argv[1], "w", format=tarfile.USTAR_FORMAT) as tar:
    for n in range(int(sys.argv[2])):
        member = tarfile.TarInfo("d/file-%07d" % n)
        member.size = 10
        tar.addfile(member, io.BytesIO(b"%010d" % n))
"#;
    let count = files.to_string();
    Filter::tool("python3").args(["-c", script]).arg(tar).arg(count).run().succeeds();
}

fn time(tar: &Path, image: &Path) -> Duration {
    let run = || {
        let start = Instant::now();
        Filter::tar2ext4().arg("-o").arg(image).arg(tar).run().succeeds().quiet();
        start.elapsed()
    };
    (0..3).map(|_| run()).min().unwrap()
}

#[test]
fn four_times_the_files_in_one_directory_take_less_than_five_times_as_long() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let (small, large) = (scratch.path().join("20k.tar"), scratch.path().join("80k.tar"));
    one_directory(20_000, &small);
    one_directory(80_000, &large);
    let (short, long) = (time(&small, &image), time(&large, &image));
    assert!(long < short * 5, "20,000 files: {short:?}, 80,000 files: {long:?}");
    e2fsck_clean(&image);
    let mount = LoopMount::read_only(&image);
    assert_eq!(fs::read(mount.path().join("d/file-0079999")).unwrap(), b"0000079999");
    assert_eq!(fs::read_dir(mount.path().join("d")).unwrap().count(), 80_000);
}
