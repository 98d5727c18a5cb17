//! `tar2ext4`: cost grows with the number of files, not with its square (E6, S5), and what it makes is as quick to
//! look names up in as what the kernel makes.

use std::fs;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{
    Filter, LoopMount, PeakMemory, e2fsck_clean, least_costs, needs_root, processor_seconds, scratch, shell,
};

/// Writes a tar of empty files, or small ones, spread over `directories`.
fn archive(files: u32, directories: u32, size: usize, path: &Path) {
    let mut tar = tar::Builder::new(BufWriter::new(fs::File::create(path).unwrap()));
    for number in 0..files {
        let mut header = tar::Header::new_ustar();
        header.set_size(size as u64);
        header.set_mode(0o644);
        header.set_path(file(number, directories)).unwrap();
        header.set_cksum();
        tar.append(&header, &format!("{number:010}").as_bytes()[..size]).unwrap();
    }
    tar.into_inner().unwrap().into_inner().unwrap();
}

fn file(number: u32, directories: u32) -> String {
    format!("d{}/file-{number:07}", number % directories)
}

/// Seconds of processor time, the least of `runs`.
fn cost(tar: &Path, image: &Path, runs: usize) -> f64 {
    let run = || processor_seconds("tar2ext4 -o \"$1\" \"$2\"", &[image, tar]);
    (0..runs).map(|_| run()).fold(f64::INFINITY, f64::min)
}

#[test]
fn four_times_the_files_in_one_directory_take_less_than_five_times_as_long() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let (small, large) = (scratch.path().join("20k.tar"), scratch.path().join("80k.tar"));
    archive(20_000, 1, 10, &small);
    archive(80_000, 1, 10, &large);
    // A square would be 16 times as long.
    let (short, long) = least_costs(|| cost(&small, &image, 1), || cost(&large, &image, 1));
    assert!(long < short * 5.0, "20,000 files: {short} s, 80,000 files: {long} s");
    e2fsck_clean(&image);
    let mount = LoopMount::read_only(&image);
    assert_eq!(fs::read(mount.path().join(file(79_999, 1))).unwrap(), b"0000079999");
    assert_eq!(fs::read_dir(mount.path().join("d0")).unwrap().count(), 80_000);
}

/// Packs 125,000 files and 1,000,000 of them: about eight times the cost, and at most 400 MB.
fn a_million_files(directories: u32) {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    archive(125_000, directories.div_ceil(8), 0, &at("few.tar"));
    archive(1_000_000, directories, 0, &at("many.tar"));
    let (few, many) = (cost(&at("few.tar"), &at("image"), 3), cost(&at("many.tar"), &at("image"), 2));
    let ratio = many / few;
    println!("{directories} directories: 125,000 files {few:.2} s, 1,000,000 files {many:.2} s, ratio {ratio:.2}");
    e2fsck_clean(at("image"));
    let mount = LoopMount::read_only(at("image"));
    for number in (0..1_000_000).step_by(997) {
        assert!(mount.path().join(file(number, directories)).exists(), "{}", file(number, directories));
    }
    mount.unmount();

    let peaks = PeakMemory::new(scratch.path());
    let run = shell(&format!("{} tar2ext4 -o \"$0\" \"$1\"", peaks.of("pack"))).args([at("image"), at("many.tar")]);
    run.run().succeeds().quiet();
    let peak = peaks.kib("pack");
    println!("{directories} directories: 1,000,000 files take {peak} KiB of memory");
    assert!(peak < 400_000, "1,000,000 files take {peak} KiB of memory");
    // Sorting names and missing caches cost a little more than in proportion; a square would be 64.
    assert!(many < few * 8.0 * 1.5, "125,000 files: {few} s, 1,000,000 files: {many} s");
}

#[test]
#[ignore = "check-full: a million files, some minutes"]
fn a_million_files_in_one_directory_cost_in_proportion() {
    a_million_files(1);
}

#[test]
#[ignore = "check-full: a million files, some minutes"]
fn a_million_files_in_ten_thousand_directories_cost_in_proportion() {
    a_million_files(10_000);
}

/// How long 1,000 random names take to look up in an image that was just mounted; the same names in every round.
fn lookups(image: &Path, files: u32) -> Vec<Duration> {
    let mount = LoopMount::read_only(image);
    let mut random = fastrand::Rng::with_seed(1000);
    let times = (0..1000).map(|_| {
        let path = mount.path().join(file(random.u32(0..files), 1));
        let start = Instant::now();
        fs::symlink_metadata(&path).unwrap();
        start.elapsed()
    });
    let times = times.collect();
    mount.unmount();
    times
}

#[test]
#[ignore = "check-full: has the kernel make a million files, some minutes"]
fn names_are_found_as_fast_as_in_a_directory_that_the_kernel_made() {
    needs_root("mount images");
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap(); // no disk in the measurement
    let at = |name: &str| scratch.path().join(name);
    let files = 1_000_000;
    archive(files, 1, 0, &at("tar"));
    let flags = ["--size", "5G", "-N", "1048576", "-J"];
    Filter::tar2ext4().arg("-o").arg(at("ours")).args(flags).arg(at("tar")).run().succeeds().quiet();
    fs::remove_file(at("tar")).unwrap();

    fs::File::create(at("kernels")).unwrap().set_len(5 << 30).unwrap();
    let features = ["-q", "-F", "-b", "4096", "-N", "1048576", "-O", "^64bit"];
    Filter::tool("mkfs.ext4").args(features).arg(at("kernels")).run().succeeds();
    let mount = LoopMount::read_write(at("kernels"));
    fs::create_dir(mount.path().join("d0")).unwrap();
    for number in 0..files {
        fs::File::create(mount.path().join(file(number, 1))).unwrap();
    }
    mount.unmount();

    // In turns; of each name the best time, for the machine has other things to do.
    let mut best = [vec![Duration::MAX; 1000], vec![Duration::MAX; 1000]];
    for _ in 0..15 {
        for (best, image) in best.iter_mut().zip(["ours", "kernels"]) {
            for (best, time) in best.iter_mut().zip(lookups(&at(image), files)) {
                *best = time.min(*best);
            }
        }
    }
    let [ours, kernels] = best.map(|mut times| {
        times.sort_unstable();
        (times[500], times.iter().sum::<Duration>())
    });
    println!("median and sum of 1,000 lookups: ours {ours:?}, the kernel's {kernels:?}");
    let no_longer = |ours: Duration, kernels: Duration| ours.as_secs_f64() < kernels.as_secs_f64() * 1.05;
    assert!(no_longer(ours.0, kernels.0) && no_longer(ours.1, kernels.1), "{ours:?}, the kernel's {kernels:?}");
}
