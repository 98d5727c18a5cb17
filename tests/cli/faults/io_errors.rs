//! EIO, when reading and when writing.
//!
//! A device-mapper error target would do; the kernels of virtual machines often have no device-mapper. Loop devices do
//! it without: one whose file was cut behind its back cannot be read from there on, and one over a sparse file on a full
//! tmpfs cannot be written (ENOSPC by way of the device in today's kernels, EIO in older ones; both only when synced).

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

use super::scene::{OLD, SIZE};
use super::{Counts, Pipeline, Scene, Source, random};
use crate::support::{LoopDevice, Tmpfs, tool};

#[test]
fn io_errors_lose_nothing() {
    break_each(2);
}

#[test]
#[ignore = "check-full: minutes"]
fn io_errors_lose_nothing_at_many_offsets() {
    break_each(40);
}

fn break_each(times: u64) {
    let mut random = random("io errors");
    let scene = Scene::new();
    let mut counts = Counts::default();
    for _ in 0..times {
        inputs(&scene, &mut random, &mut counts);
        device(&scene, &mut random, &mut counts);
        file_systems(&scene, &mut random, &mut counts);
    }
    println!("io errors: {counts}");
}

/// Archives and streams on a device that cannot be read to its end.
fn inputs(scene: &Scene, random: &mut fastrand::Rng, counts: &mut Counts) {
    let place = scene.place();
    let manifest = scene.fetch(&scene.name(Source::Layout), &place).output().unwrap().stdout;
    let saved = scene.at("manifest");
    fs::write(&saved, &manifest).unwrap();
    let tar = scene.flatten(&place).stdin(fs::File::open(&saved).unwrap()).output().unwrap().stdout;
    let archive = |name| fs::read(scene.at(name)).unwrap();
    type Filters<'a> = &'a dyn Fn(&LoopDevice) -> Vec<Command>;
    let add = |mut command: Command, argument: &str| {
        command.arg(argument);
        command
    };
    let whole = |kind: &str, device: &LoopDevice| {
        let fetch = scene.fetch(&format!("{kind}:{}", device.path()), &place);
        vec![fetch, scene.flatten(&place), scene.pack(&place)]
    };
    let rows: [(&str, Vec<u8>, Filters<'_>); 4] = [
        ("reading an OCI archive", archive("oci.tar"), &|device| whole("oci-archive", device)),
        ("reading a docker archive", archive("docker.tar"), &|device| whole("docker-archive", device)),
        ("reading a tar", tar.clone(), &|device| vec![add(scene.pack(&place), device.path())]),
        ("reading a layer", tar, &|device| {
            let layer = ["--no-manifest", "-l", device.path()];
            vec![layer.into_iter().fold(scene.flatten(&place), add), scene.pack(&place)]
        }),
    ];
    for (what, bytes, filters) in rows {
        // A page that lies across the end cannot be read either.
        let good = random.u64(..bytes.len() as u64 / 4096) * 4096;
        let device = LoopDevice::broken_behind(&scene.at("broken"), &bytes, good);
        let outcome = Pipeline::spawn(filters(&device), None).wait();
        assert!(scene.survives(&outcome, &place, None), "{what} of {good} bytes\n{}", outcome.report());
        let named = outcome.said.iter().any(|said| said.contains("Input/output error"));
        assert!(named, "{what} of {good} bytes\n{}", outcome.report());
        counts.add(what);
    }
    scene.second_run_succeeds(Source::Layout, &place);
    scene.clear(&place);
}

/// A device that is the target and cannot be written to its end must not look like a file system.
fn device(scene: &Scene, random: &mut fastrand::Rng, counts: &mut Counts) {
    let place = scene.place();
    let disk = scene.at("disk");
    let room = Tmpfs::at(&disk, &format!("size={}", random.u64(16 << 10..1 << 20)));
    let file = disk.join("backing");
    fs::File::create(&file).unwrap().set_len(SIZE).unwrap();
    let target = LoopDevice::over(&file);
    let run = || {
        let mut pack = Command::new(env!("CARGO_BIN_EXE_tar2ext4"));
        pack.env("SOURCE_DATE_EPOCH", "1700000000").arg("--output").arg(target.path());
        let fetch = scene.fetch(&scene.name(Source::Layout), &place);
        Pipeline::spawn(vec![fetch, scene.flatten(&place), pack], None).wait()
    };
    let outcome = run();
    outcome.is_sane(None);
    assert_eq!(outcome.last().code(), Some(1), "{}", outcome.report());
    let mut magic = [0; 2];
    tool("blockdev", ["--flushbufs", target.path()]);
    fs::File::open(&file).unwrap().read_exact_at(&mut magic, 1024 + 56).unwrap();
    assert_ne!(magic, [0x53, 0xef], "it looks like a file system");
    room.remount("size=64m");
    let outcome = run();
    assert!(outcome.last().success(), "{}", outcome.report());
    let written = fs::read(target.path()).unwrap();
    assert!(written == scene.whole, "the device holds something else");
    drop((target, room));
    scene.clear(&place);
    counts.add("writing a device");
}

/// A file system whose device has no room behind it: writes fail when they are synced.
fn file_systems(scene: &Scene, random: &mut fastrand::Rng, counts: &mut Counts) {
    for (what, source) in [("writing the store", Source::Registry), ("writing the target, --fsync", Source::Layout)] {
        let mut place = scene.place();
        let disk = scene.at("disk");
        let room = Tmpfs::at(&disk, "size=64m");
        let file = disk.join("backing");
        fs::File::create(&file).unwrap().set_len(32 << 20).unwrap();
        tool(
            "mke2fs",
            ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=0", file.to_str().unwrap()],
        );
        let mounted = crate::support::LoopMount::read_write(&file);
        match source {
            Source::Registry => place.store = mounted.path().join("store"),
            _ => {
                place.targets = mounted.path().join("targets");
                fs::create_dir(&place.targets).unwrap();
                fs::write(place.target(), OLD).unwrap();
            }
        }
        tool("sync", ["-f", mounted.path().to_str().unwrap()]);
        let used = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&file).unwrap()) * 512;
        room.remount(&format!("size={}", used + random.u64(16 << 10..512 << 10)));
        let run = || {
            let mut pack = scene.pack(&place);
            pack.arg("--fsync");
            let fetch = scene.fetch(&scene.name(source), &place);
            Pipeline::spawn(vec![fetch, scene.flatten(&place), pack], None).wait()
        };
        let outcome = run();
        assert!(scene.survives(&outcome, &place, None), "{what}\n{}", outcome.report());
        // What the kernel makes of it depends on its version.
        let causes = ["Input/output error", "No space left on device"];
        let named = outcome.said.iter().any(|said| causes.iter().any(|cause| said.contains(cause)));
        assert!(named, "{what}\n{}", outcome.report());
        room.remount("size=64m");
        let outcome = run();
        assert!(outcome.last().success(), "{what}: the second run fails\n{}", outcome.report());
        assert!(fs::read(place.target()).unwrap() == scene.whole, "{what}: the second run gives something else");
        mounted.unmount();
        drop(room);
        fs::remove_dir_all(scene.at("disk")).unwrap();
        counts.add(what);
    }
}
