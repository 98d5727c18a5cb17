//! Sources that end too early, at random offsets.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Counts, Pipeline, Scene, Source, random};
use crate::support::Compression;
use crate::support::registry::{Artifact, get};
use crate::support::stack::compress;

#[test]
fn truncated_sources_fail() {
    truncate_each(3);
}

#[test]
#[ignore = "check-full: minutes"]
fn truncated_sources_fail_at_many_offsets() {
    truncate_each(60);
}

/// Cuts each kind of source at `times` random offsets.
fn truncate_each(times: u64) {
    let mut random = random("truncations");
    let scene = Scene::new();
    let mut counts = Counts::default();
    for _ in 0..times {
        files(&scene, &mut random, &mut counts);
        bodies(&scene, &mut random, &mut counts);
        streams(&scene, &mut random, &mut counts);
    }
    println!("truncations: {counts}");
}

/// Layouts and archives on disk.
fn files(scene: &Scene, random: &mut fastrand::Rng, counts: &mut Counts) {
    let mut parts = scene.image.parts();
    let part = parts.swap_remove(random.usize(..parts.len()));
    let blob = format!("layout/blobs/{}", part.digest.replace(':', "/"));
    let files = [
        (Source::Layout, "layout: a blob", &*blob),
        (Source::Layout, "layout: index.json", "layout/index.json"),
        (Source::OciArchive, "oci-archive", "oci.tar"),
        (Source::DockerArchive, "docker-archive", "docker.tar"),
    ];
    for (source, what, file) in files {
        let path = scene.at(file);
        let whole = fs::read(&path).unwrap();
        let kept = random.usize(..end(&whole));
        fs::write(&path, &whole[..kept]).unwrap();
        let place = scene.place();
        let outcome = scene.spawn(source, &place).wait();
        let fails = scene.survives(&outcome, &place, None);
        assert!(fails, "{what}: {kept} of {} bytes are enough\n{}", whole.len(), outcome.report());
        fs::write(&path, &whole).unwrap();
        scene.second_run_succeeds(source, &place);
        scene.clear(&place);
        counts.add(what);
    }
}

/// Where what counts ends: a tar needs no more than its first two zero blocks, and of those all but the last byte.
fn end(file: &[u8]) -> usize {
    let data = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if data == file.len() { data } else { data.next_multiple_of(512) + 1024 }
}

/// What a registry sends: a connection that breaks, and a reply that says itself that it is shorter.
fn bodies(scene: &Scene, random: &mut fastrand::Rng, counts: &mut Counts) {
    let mut parts = scene.image.parts();
    let part = parts.swap_remove(random.usize(..parts.len()));
    let manifest = scene.image.root();
    for (what, target, size) in [
        ("registry: manifest", "/manifests/latest", manifest.bytes.len()),
        ("registry: body", if part.is_manifest { "/manifests/" } else { &part.digest }, part.bytes.len()),
    ] {
        let kept = random.u64(..size as u64);
        let breaks = random.bool();
        scene.registry.when(get(target), move |reply| if breaks { reply.cut_at(kept) } else { reply.short(kept) });
        let place = scene.place();
        let outcome = scene.spawn(Source::Registry, &place).wait();
        scene.registry.heal();
        let fails = scene.survives(&outcome, &place, None);
        assert!(fails, "{what}: {kept} of {size} bytes are enough\n{}", outcome.report());
        scene.second_run_succeeds(Source::Registry, &place);
        scene.clear(&place);
        counts.add(format!("{what} {}", if breaks { "cut" } else { "short" }));
    }
}

/// What goes from filter to filter.
fn streams(scene: &Scene, random: &mut fastrand::Rng, counts: &mut Counts) {
    let place = scene.place();
    let manifest = output(scene.fetch(&scene.name(Source::Layout), &place), None);
    let saved = scene.at("manifest");
    fs::write(&saved, &manifest).unwrap();
    let tar = output(scene.flatten(&place), Some(&saved));
    let gzip = compress(&tar, Compression::Gzip);
    let zstd = compress(&tar, Compression::Zstd);
    for (what, stream, end, flatten) in [
        // The last line break is no part of the end record.
        ("layer manifest", &manifest, manifest.len() - 1, true),
        ("tar", &tar, end(&tar), false),
        ("tar.gz", &gzip, gzip.len(), false),
        ("tar.zst", &zstd, zstd.len(), false),
    ] {
        let run = |bytes: &[u8]| {
            let filters =
                if flatten { vec![scene.flatten(&place), scene.pack(&place)] } else { vec![scene.pack(&place)] };
            Pipeline::spawn(filters, Some(bytes.to_vec())).wait()
        };
        let kept = random.usize(..end);
        let outcome = run(&stream[..kept]);
        let fails = scene.survives(&outcome, &place, None);
        assert!(fails, "{what}: {kept} of {} bytes are enough\n{}", stream.len(), outcome.report());
        let outcome = run(stream);
        assert!(outcome.last().success(), "{what}\n{}", outcome.report());
        assert!(fs::read(place.target()).unwrap() == scene.whole, "{what}: the whole stream gives something else");
        fs::write(place.target(), super::scene::OLD).unwrap();
        counts.add(what);
    }
    scene.clear(&place);
}

/// What a filter writes when all is well.
fn output(mut command: Command, input: Option<&Path>) -> Vec<u8> {
    let stdin = input.map_or(Stdio::null(), |path| fs::File::open(path).unwrap().into());
    let output = command.stdin(stdin).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
