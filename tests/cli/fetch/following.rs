//! Layers that are told of while their bytes arrive (M4), for who wants to decode them meanwhile.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::one;
use crate::support::registry::{Image, Layer, Puller, Registry, Reply, get};

/// The `fetching` record of a layer, as soon as it stands in `manifest`.
fn begun(manifest: &Path, index: usize) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let text = fs::read_to_string(manifest).unwrap_or_default();
        let records = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut records = records.map(|line| serde_json::from_str::<Value>(line).unwrap());
        if let Some(record) = records.find(|record| record["type"] == "fetching" && record["index"] == index) {
            return record;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("layer {index} is not told of: {}", fs::read_to_string(manifest).unwrap_or_default())
}

fn path(record: &Value) -> PathBuf {
    record["path"].as_str().expect("a path").into()
}

/// Every look at a growing file shows the beginning of what it shows later; `until` says when to stop.
fn watch(file: &mut File, mut until: impl FnMut() -> bool) -> Vec<u8> {
    let mut seen = Vec::new();
    loop {
        let is_last = until();
        file.read_to_end(&mut seen).unwrap();
        let mut again = Vec::new();
        let mut anew = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))).unwrap();
        anew.read_to_end(&mut again).unwrap();
        assert!(again.starts_with(&seen), "bytes that were there have changed");
        if is_last {
            return seen;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_layer_is_told_of_when_its_transfer_begins() {
    let image = Image::of([Layer::noise(1, 400_000), Layer::file("a", "b"), Layer::noise(2, 300_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get("/blobs/"), |reply| reply.slow(40_000, Duration::from_millis(50)));
    let puller = Puller::new();
    let pulled = puller.pull(registry.name("demo")).run().gets_exactly(&image);
    let records = pulled.all_records();
    let at = |kind: &str, index: usize| {
        records.iter().position(|record| record["type"] == kind && record["index"] == index).expect("a record")
    };
    for (index, layer) in image.layers.iter().enumerate() {
        let fetching = &records[at("fetching", index)];
        assert!(at("fetching", index) < at("layer", index));
        assert_eq!((&fetching["size"], &fetching["digest"]), (&json!(layer.bytes.len()), &json!(layer.digest)));
        assert!(path(fetching).is_absolute() && path(fetching).starts_with(puller.store()));
    }
    assert!(at("fetching", 2) < at("layer", 0), "several arrive at once");
    // What is there already does not arrive.
    let second = puller.pull(registry.name("demo")).run().gets_exactly(&image);
    assert_eq!(second.all_records().len(), image.layers.len() + 2);
    assert_eq!(second.manifest(), pulled.manifest(), "but for that the same bytes (R6)");
}

#[test]
fn the_bytes_are_in_the_file_that_becomes_the_blob() {
    let image = Image::of([Layer::noise(1, 600_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get(&*image.layers[0].digest), |reply| reply.slow(30_000, Duration::from_millis(30)));
    let puller = Puller::new();
    let out = puller.path("manifest");
    let running = puller.pull(registry.name("demo")).stdout_file(&out).spawn();
    let record = begun(&out, 0);
    let mut file = File::open(path(&record)).unwrap();
    let blob = puller.store().join("blobs").join(image.layers[0].digest.replace(':', "/"));
    assert!(!blob.exists(), "it is told of too late");
    let seen = watch(&mut file, || blob.exists());
    assert!(seen == *image.layers[0].bytes, "{} bytes were seen", seen.len());
    assert_eq!(file.metadata().unwrap().ino(), fs::metadata(&blob).unwrap().ino());
    drop(running.wait().succeeds());
}

/// A server that lies in the middle, once: what a reader has seen stays, and the whole blob is another file.
#[test]
fn a_transfer_that_starts_over_does_so_in_another_file() {
    let image = Image::of([Layer::noise(1, 600_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let layer = || get(&*image.layers[0].digest);
    let near_the_end = image.layers[0].bytes.len() - 20_000;
    let slow = |reply: Reply| reply.slow(10_000, Duration::from_millis(40));
    registry.when(layer().once(), move |reply| slow(reply.flipped(near_the_end)));
    registry.when(layer(), slow);
    let puller = Puller::new();
    let out = puller.path("manifest");
    let running = puller.pull(registry.name("demo")).retries(3).stdout_file(&out).spawn();
    let record = begun(&out, 0);
    let mut file = File::open(path(&record)).unwrap();
    let blob = puller.store().join("blobs").join(image.layers[0].digest.replace(':', "/"));
    let seen = watch(&mut file, || blob.exists());
    assert!(seen != *image.layers[0].bytes, "the right bytes arrived in the first file");
    assert_ne!(file.metadata().unwrap().ino(), fs::metadata(&blob).unwrap().ino());
    assert!(fs::read(&blob).unwrap() == *image.layers[0].bytes);
    drop(running.wait().succeeds());
    let text = fs::read_to_string(&out).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\"fetching\"")).count(), 2, "a record for each file\n{text}");
}

/// What an earlier run left is read, and goes on in the same file.
#[test]
fn a_transfer_that_is_carried_on_with_keeps_its_file() {
    let (image, registry, puller) = one();
    let layer = &image.layers[0];
    let left = puller.file(&format!("store/partial/{}", layer.digest.replace(':', ".")), &layer.bytes[..10_000]);
    let inode = fs::metadata(&left).unwrap().ino();
    let pulled = puller.pull(registry.name("demo")).run().gets_exactly(&image);
    let records = pulled.all_records();
    let record = records.iter().find(|record| record["type"] == "fetching" && record["index"] == 0).unwrap();
    assert_eq!(
        fs::canonicalize(path(record).parent().unwrap()).unwrap(),
        fs::canonicalize(left.parent().unwrap()).unwrap()
    );
    let blob = puller.store().join("blobs").join(layer.digest.replace(':', "/"));
    assert_eq!(fs::metadata(blob).unwrap().ino(), inode);
}

#[test]
fn a_transfer_that_fails_ends_the_manifest_without_its_end() {
    let (image, registry, puller) = one();
    registry.when(get(&*image.layers[0].digest), |reply| reply.cut_at(7_000));
    let pulled = puller.pull(registry.name("demo")).retries(0).run().fails(&[&image.layers[0].digest]);
    let records = pulled.all_records();
    assert!(records.iter().any(|record| record["type"] == "fetching" && record["index"] == 0));
    assert!(records.iter().all(|record| record["type"] != "end"));
}

#[test]
fn layers_carry_their_chain_ids() {
    let base = Layer::noise(1, 3_000);
    let one = Image::of([base.clone(), Layer::file("a", "b")]);
    let two = Image::of([base, Layer::file("a", "b"), Layer::file("c", "d")]);
    let registry = Registry::start();
    let puller = Puller::new();
    let chains = [("one", &one), ("two", &two)].map(|(name, image)| {
        registry.push(name, "latest", image);
        let pulled = puller.pull(registry.name(name)).run().gets(image);
        let records = pulled.records();
        let layers = &records[1..records.len() - 1];
        assert_eq!(layers[0]["chainId"], layers[0]["diffId"]);
        let text = |record: &Value, field: &str| record[field].as_str().expect("a digest").to_owned();
        for pair in layers.windows(2) {
            let below = format!("{} {}", text(&pair[0], "chainId"), text(&pair[1], "diffId"));
            assert_eq!(pair[1]["chainId"], crate::support::registry::digest(below.as_bytes()));
        }
        layers.iter().map(|layer| text(layer, "chainId")).collect::<Vec<_>>()
    });
    assert_eq!(chains[0][..], chains[1][..2]);
}
