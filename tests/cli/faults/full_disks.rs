//! Disks without room: for the spool, the blob store, the target; for inodes; and a limit on the size of files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::scene::{Directory, OLD};
use super::{Counts, Scene, Source, random};
use crate::support::{Tmpfs, needs};

#[test]
fn full_disks_lose_nothing() {
    fill_each(2);
}

#[test]
#[ignore = "check-full: minutes"]
fn full_disks_lose_nothing_at_many_sizes() {
    fill_each(40);
}

/// Runs the pipeline `times` times with each place on a disk of a random size that is too small.
fn fill_each(times: u64) {
    let mut random = random("full disks");
    let scene = Scene::new();
    let mut counts = Counts::default();
    let (stored, spooled, written) = needed(&scene);
    for _ in 0..times {
        let mut full = |what: &str, source, needed: u64, place_of: Directory| {
            let size = random.u64(8192..needed * 9 / 10);
            full_disk(&scene, source, place_of, &format!("size={size}"), &format!("{what}, {size} bytes"));
            counts.add(what);
        };
        full("spool", Source::Layout, spooled, |place| &place.spool);
        full("store from a registry", Source::Registry, stored, |place| &place.store);
        full("store from an OCI archive", Source::OciArchive, stored, |place| &place.store);
        full("store from a docker archive", Source::DockerArchive, stored, |place| &place.store);
        full("target", Source::Layout, written, |place| &place.targets);
        full_cache(&scene, random.u64(8192..spooled), &mut counts);
        // The root, .lock, partial, index.json, oci-layout, blobs and two in it leave no room for all blobs.
        let inodes = format!("nr_inodes={}", random.u64(2..12));
        full_disk(&scene, Source::Registry, |place| &place.store, &inodes, &inodes);
        counts.add("store without inodes");
        limited(&scene, &mut random, written, &mut counts);
    }
    println!("full disks: {counts}");
}

/// Bytes that one run takes in the store, in the spool and at the target.
fn needed(scene: &Scene) -> (u64, u64, u64) {
    let place = scene.place();
    let outcome = scene.spawn(Source::Registry, &place).wait();
    assert!(outcome.last().success(), "{}", outcome.report());
    let stored = scene.image.layers.iter().map(|layer| layer.bytes.len() as u64).sum();
    // The plain layer is read in place.
    let spooled = scene.image.layers[..2].iter().map(|layer| layer.bytes.len() as u64).sum();
    let written = fs::metadata(place.target()).unwrap().blocks() * 512;
    scene.clear(&place);
    (stored, spooled, written)
}

fn full_disk(scene: &Scene, source: Source, place_of: Directory, options: &str, what: &str) {
    let place = scene.place();
    let disk = Tmpfs::at(place_of(&place), options);
    if place_of(&place) == &place.targets {
        fs::write(place.target(), OLD).unwrap();
    }
    let outcome = scene.spawn(source, &place).wait();
    let fails = scene.survives(&outcome, &place, None);
    assert!(fails, "{what} is room enough\n{}", outcome.report());
    assert!(outcome.said.iter().any(|said| said.contains("No space left")), "{what}\n{}", outcome.report());
    disk.remount("size=64m,nr_inodes=1000");
    scene.second_run_succeeds(source, &place);
    drop(disk);
    scene.clear(&place);
}

/// Decoded layers that cannot be kept are decoded all the same (F18).
fn full_cache(scene: &Scene, size: u64, counts: &mut Counts) {
    let place = scene.place().caching(true);
    let disk = Tmpfs::at(&place.cache, &format!("size={size}"));
    let outcome = scene.spawn(Source::Layout, &place).wait();
    assert!(!scene.survives(&outcome, &place, None), "a full cache is no reason to fail\n{}", outcome.report());
    assert!(outcome.said[1].contains("without being kept"), "{}", outcome.report());
    disk.remount("size=64m,nr_inodes=1000");
    scene.second_run_succeeds(Source::Layout, &place);
    drop(disk);
    scene.clear(&place);
    counts.add("cache");
}

/// `ulimit -f`: the kernel would end who writes a larger file.
fn limited(scene: &Scene, random: &mut fastrand::Rng, written: u64, counts: &mut Counts) {
    needs(&["prlimit"]);
    let place = scene.place();
    let limit = random.u64(4096..written);
    let filters = [scene.fetch(&scene.name(Source::Layout), &place), scene.flatten(&place), scene.pack(&place)];
    let which = random.usize(1..3);
    let filters = filters
        .into_iter()
        .enumerate()
        .map(|(number, filter)| if number == which { under_limit(&filter, limit.min(700_000)) } else { filter });
    let outcome = super::Pipeline::spawn(filters.collect(), None).wait();
    let fails = scene.survives(&outcome, &place, None);
    let told = outcome.said[which].lines().count() == 1 && outcome.said[which].contains("File too large");
    assert!(told, "nothing is said of the limit\n{}", outcome.report());
    assert!(fails, "files of {limit} bytes are enough\n{}", outcome.report());
    scene.second_run_succeeds(Source::Layout, &place);
    scene.clear(&place);
    counts.add("limits on file size");
}

/// `filter` under `prlimit --fsize`.
fn under_limit(filter: &std::process::Command, bytes: u64) -> std::process::Command {
    let mut limited = std::process::Command::new("prlimit");
    limited.arg(format!("--fsize={bytes}")).arg(Path::new(filter.get_program())).args(filter.get_args());
    limited.env_clear();
    limited.envs(filter.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}
