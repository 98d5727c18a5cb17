//! Layers larger than memory should ever need to be (S5): they pass in at most 64 MiB, in one go or in two.

use std::fs;
use std::time::{Duration, Instant};

use oci2ext4::image::{Algorithm, Hasher};

use crate::support::registry::{Image, Layer, Puller, Registry, assert_whole, get, parts_in_flight};

/// Most memory of `oci-fetch`, in KiB.
const MOST: u64 = 64 << 10;

/// An image whose one layer has `SIZE` bytes, and its registry, which makes them as it sends them.
fn large<const SIZE: u64>() -> (Image, Registry) {
    let block = b"0123456789abcdef".repeat(4096);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for _ in 0..SIZE / block.len() as u64 {
        hasher.update(&block);
    }
    let mut layer = Layer::plain(b"");
    layer.digest = hasher.finish().to_string();
    layer.pushed = false;
    let image = Image::of([layer]).edited(|manifest| manifest["layers"][0]["size"] = serde_json::json!(SIZE));
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.serve_repeated(&format!("/v2/demo/blobs/{}", image.layers[0].digest), block, SIZE);
    (image, registry)
}

#[test]
fn a_layer_far_larger_than_memory_passes_in_little_memory() {
    let (_, registry) = large::<{ 512 << 20 }>();
    let puller = Puller::new();
    let (ran, peak) = puller.pull(registry.name("demo")).spawn().wait_measured();
    drop(ran.succeeds());
    assert!(peak < MOST, "{peak} KiB");
    assert_whole(&puller.store());
}

/// The first run is killed in the middle; the second reads what is there, asks for the rest and has the whole.
#[test]
#[ignore = "check-full: a layer of 4 GiB, twice read and once written"]
fn a_layer_of_four_gigabytes_passes_in_little_memory_and_in_two_runs() {
    const SIZE: u64 = 4 << 30;
    const HALF: u64 = SIZE / 2;
    let (image, registry) = large::<SIZE>();
    let path = format!("/blobs/{}", image.layers[0].digest);
    registry.when(get(&*path).once(), |reply| reply.stall_at(HALF));
    let puller = Puller::new();
    let pull = || puller.pull(registry.name("demo")).timeout(60);
    let first = pull().spawn();
    let (start, mut length) = (Instant::now(), 0);
    while length < HALF {
        assert!(start.elapsed() < Duration::from_secs(300), "{length} bytes are on disk");
        std::thread::sleep(Duration::from_millis(20));
        let parts = parts_in_flight(&puller.store());
        length = parts.first().and_then(|part| fs::metadata(part).ok()).map_or(0, |meta| meta.len());
    }
    let peak = first.peak().expect("it runs");
    first.signal(rustix::process::Signal::TERM);
    assert!(!first.wait().status.success());
    assert!(peak < MOST, "{peak} KiB in the first run");
    let (ran, peak) = pull().spawn().wait_measured();
    assert_eq!(ran.succeeds().text().lines().count(), 3);
    assert!(peak < MOST, "{peak} KiB in the second run");
    let asked = registry.asked(get(path));
    let ranges: Vec<&str> = asked.iter().map(|request| request.header("Range").unwrap_or("-")).collect();
    assert_eq!(ranges, ["-", &*format!("bytes={HALF}-")]);
    assert!(parts_in_flight(&puller.store()).is_empty());
    assert_whole(&puller.store());
}
