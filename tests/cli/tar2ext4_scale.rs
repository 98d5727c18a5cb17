//! `tar2ext4`: cost grows with the number of files, not with its square (E6, S5).

use std::fs;
use std::path::Path;

use crate::support::{Filter, LoopMount, e2fsck_clean, scratch, shell};

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

/// Seconds of processor time, user and system: the clock on the wall measures the neighbours too.
fn cost(tar: &Path, image: &Path) -> f64 {
    let run = || {
        let ran = shell("tar2ext4 -o \"$0\" \"$1\" && times").arg(image).arg(tar).run().succeeds().quiet();
        // The second line is for the children: 0m0.230s 0m0.210s
        let times = ran.text().lines().nth(1).expect("times of the children").to_owned();
        let seconds = |time: &str| {
            let (minutes, seconds) = time.strip_suffix('s').and_then(|time| time.split_once('m')).expect("a time");
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        };
        times.split_whitespace().map(seconds).sum::<f64>()
    };
    (0..3).map(|_| run()).fold(f64::INFINITY, f64::min)
}

#[test]
fn four_times_the_files_in_one_directory_take_less_than_five_times_as_long() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let (small, large) = (scratch.path().join("20k.tar"), scratch.path().join("80k.tar"));
    one_directory(20_000, &small);
    one_directory(80_000, &large);
    let (short, long) = (cost(&small, &image), cost(&large, &image));
    assert!(long < short * 5.0, "20,000 files: {short} s, 80,000 files: {long} s");
    e2fsck_clean(&image);
    let mount = LoopMount::read_only(&image);
    assert_eq!(fs::read(mount.path().join("d/file-0079999")).unwrap(), b"0000079999");
    assert_eq!(fs::read_dir(mount.path().join("d")).unwrap().count(), 80_000);
}
