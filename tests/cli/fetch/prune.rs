//! `--prune`: room in the store, and nothing lost that is in use (R10).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::registry::{
    Artifact, Image, Index, Layer, Puller, Registry, assert_whole, digest, get, oci_layout,
};
use crate::support::{Filter, Ran, tool};

/// Runs `--prune AGE` on the store.
fn prune(puller: &Puller, age: &str) -> Ran {
    puller.pull_bare("--prune").arg(age).arg("--dir").arg(puller.store()).run_bare().succeeds().quiet()
}

/// The digests of all blobs in the store.
fn blobs(store: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(store.join("blobs/sha256")).unwrap();
    entries.map(|entry| format!("sha256:{}", entry.unwrap().file_name().to_str().unwrap())).collect()
}

/// The blobs of an image.
fn of(image: &Image) -> BTreeSet<String> {
    let layers = image.layers.iter().map(|layer| layer.digest.clone());
    layers.chain([image.root().digest, digest(&image.config())]).collect()
}

/// Lets the names in the store that hold `which` be last used so many seconds before now, or after.
fn last_used(store: &Path, which: &str, seconds: i64) {
    let path = store.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        let annotations = &mut entry["annotations"];
        if annotations["org.opencontainers.image.ref.name"].as_str().unwrap().contains(which) {
            annotations["vnd.oci-fetch.used"] = json!((now + seconds).to_string());
        }
    }
    fs::write(path, index.to_string()).unwrap();
}

#[test]
fn what_was_not_used_goes_and_what_is_shared_stays() {
    let base = Layer::noise(1, 30_000);
    let old = Image::of([base.clone(), Layer::noise(2, 20_000)]);
    let new = Image::of([base.clone(), Layer::noise(3, 20_000)]);
    let registry = Registry::start();
    let puller = Puller::new();
    for (tag, image) in [("old", &old), ("new", &new)] {
        registry.push("demo", tag, image);
        puller.pull(registry.name(format!("demo:{tag}"))).run().gets(image);
    }
    let offline = |tag: &str| puller.pull(registry.name(format!("demo:{tag}"))).arg("--offline").run();
    prune(&puller, "1d");
    last_used(&puller.store(), ":old", -3 * 24 * 3600);
    prune(&puller, "4d");
    offline("old").gets(&old);
    last_used(&puller.store(), ":old", -3 * 24 * 3600);
    last_used(&puller.store(), ":new", 1000);
    prune(&puller, "2d");
    offline("old").fails(&["demo:old", "not in the blob store"]);
    offline("new").gets(&new);
    assert_eq!(blobs(&puller.store()), &of(&old) | &of(&new), "the blobs are young yet");
    thread::sleep(Duration::from_secs(3));
    prune(&puller, "2s");
    assert_eq!(blobs(&puller.store()), of(&new));
    offline("new").gets(&new);
    assert_whole(&puller.store());
    prune(&puller, "0");
    assert!(blobs(&puller.store()).is_empty());
    assert_whole(&puller.store());
    puller.pull(registry.name("demo:old")).run().gets(&old);
}

#[test]
fn what_no_name_needs_goes_when_it_is_old() {
    let registry = Registry::start();
    let puller = Puller::new();
    let (one, two) = (Image::of([Layer::noise(1, 20_000)]), Image::of([Layer::noise(2, 20_000)]));
    for image in [&one, &two] {
        registry.push("demo", "latest", image);
        puller.pull(registry.name("demo")).run().gets(image);
    }
    puller.file("store/partial/left", "broken off");
    last_used(&puller.store(), "demo", 1000);
    prune(&puller, "1h");
    assert_eq!(blobs(&puller.store()), &of(&one) | &of(&two));
    thread::sleep(Duration::from_secs(3));
    prune(&puller, "2s");
    assert_eq!(blobs(&puller.store()), of(&two));
    assert!(!puller.store().join("partial/left").exists());
    puller.pull(registry.name("demo")).run().quietly().gets(&two);
}

/// Images of an index, of Docker's make, of another tool: whatever a name leads to is needed.
#[test]
fn whatever_a_name_leads_to_is_needed() {
    let (image, other) = (Image::small("mine"), Image::small("other").platform("linux/s390x"));
    let registry = Registry::start();
    registry.push("demo", "index", &Index::of([&other, &image]));
    registry.push("demo", "docker", &Image::small("docker").docker());
    let puller = Puller::new();
    oci_layout(&puller.store(), &[("theirs", &Image::small("theirs"))]);
    puller.pull(registry.name("demo:index")).run().gets(&image);
    puller.pull(registry.name("demo:docker")).run().gets_exactly(&Image::small("docker").docker());
    puller.file("store/blobs/sha256/notes.txt", "no blob");
    let before = blobs(&puller.store());
    thread::sleep(Duration::from_secs(3));
    // Names that were just used need their blobs, however old these are.
    prune(&puller, "1h");
    assert_eq!(blobs(&puller.store()), before);
    for tag in ["index", "docker"] {
        puller.pull(registry.name(format!("demo:{tag}"))).arg("--offline").run().quietly();
    }
    tool("skopeo", ["inspect", &format!("oci:{}:theirs", puller.store().display())]);
    prune(&puller, "0");
    assert_eq!(blobs(&puller.store()), BTreeSet::from(["sha256:notes.txt".to_owned()]), "it is none of ours");
}

/// Fetches and prunings of everything, all the time: every fetch gets its image, whole.
#[test]
fn beside_running_fetches_nothing_is_lost() {
    let shared = Layer::noise(100, 60_000);
    let images: Vec<Image> = (0..4).map(|i| Image::of([shared.clone(), Layer::noise(i, 50_000)])).collect();
    let registry = Registry::start();
    for (i, image) in images.iter().enumerate() {
        registry.push("demo", &i.to_string(), image);
    }
    registry.when(get("/blobs/"), |reply| reply.slow(20_000, Duration::from_millis(3)));
    let puller = Puller::new();
    puller.pull(registry.name("demo:0")).run().gets(&images[0]);
    let (done, pruned) = (AtomicBool::new(false), AtomicBool::new(false));
    // Without the judgement of every other pull, which reads blobs that may go meanwhile.
    let fetch = |tag: usize| {
        let pull = Filter::oci_fetch().env("HOME", puller.home()).arg("--dir").arg(puller.store());
        pull.env("CONTAINERS_REGISTRIES_CONF", puller.path("registries.conf")).arg(registry.name(format!("demo:{tag}")))
    };
    let failed = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                prune(&puller, "0");
                if blobs(&puller.store()).is_empty() {
                    pruned.store(true, Ordering::Relaxed);
                }
            }
        });
        let mut failed = None;
        for round in 0..40_usize {
            let running: Vec<_> = (0..3).map(|i| fetch((round + i) % 4).spawn()).collect();
            for running in running {
                let ran = running.wait();
                failed = failed.or((!ran.status.success() || !ran.stderr.is_empty()).then_some(ran));
            }
        }
        done.store(true, Ordering::Relaxed);
        failed
    });
    assert!(failed.is_none(), "{}", failed.unwrap().report());
    assert!(pruned.load(Ordering::Relaxed), "nothing was ever removed");
    for (i, image) in images.iter().enumerate() {
        puller.pull(registry.name(format!("demo:{i}"))).run().gets_exactly(image);
    }
    assert_whole(&puller.store());
}

/// A fetch that goes on for long, as its layers are not needed by any name yet.
#[test]
fn a_fetch_keeps_what_it_found_and_what_it_fetched() {
    let (old, layer) = (Layer::noise(1, 30_000), Layer::noise(2, 300_000));
    let (first, second) = (Image::of([old.clone()]), Image::of([old.clone(), Layer::noise(3, 10_000), layer.clone()]));
    let registry = Registry::start();
    registry.push("demo", "first", &first);
    registry.push("demo", "second", &second);
    registry.when(get(&*layer.digest), |reply| reply.slow(10_000, Duration::from_millis(100)));
    let puller = Puller::new();
    puller.pull(registry.name("demo:first")).run().gets(&first);
    let running = puller.pull(registry.name("demo:second")).spawn();
    thread::sleep(Duration::from_millis(800));
    prune(&puller, "0");
    let there = blobs(&puller.store());
    assert!(there.contains(&old.digest), "what it found is gone");
    drop(running.wait().succeeds());
    puller.pull(registry.name("demo:second")).arg("--offline").run().gets(&second);
    prune(&puller, "0");
    assert!(blobs(&puller.store()).is_empty());
}

#[test]
fn an_image_that_is_used_often_costs_the_store_nothing() {
    let (image, registry, puller) = super::one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let stamp = || fs::metadata(puller.store().join("index.json")).map(|meta| (meta.ino(), meta.mtime_nsec())).unwrap();
    let before = stamp();
    puller.pull(registry.name("demo")).run().gets(&image);
    puller.pull(registry.name("demo")).arg("--offline").run().gets(&image);
    assert_eq!(stamp(), before);
    for offline in [false, true] {
        last_used(&puller.store(), "demo", -7200);
        puller.pull(registry.name("demo")).args(offline.then_some("--offline")).run().gets(&image);
        prune(&puller, "1h");
        puller.pull(registry.name("demo")).arg("--offline").run().gets(&image);
    }
}

#[test]
fn ages_and_stores_that_make_no_sense_are_refused() {
    let puller = Puller::new();
    for age in ["30", "1.5d", "yesterday", ""] {
        let ran = puller.pull_bare("--prune").arg(age).run_bare();
        drop(ran.fails_with(2, "not an age"));
    }
    drop(puller.pull_bare("--prune").args(["1d", "nginx"]).run_bare().fails_with(2, "--prune"));
    let store = puller.path("nothing");
    let ran = puller.pull_bare("--prune").arg("1d").arg("--dir").arg(&store).run_bare();
    drop(ran.fails_with(1, "nothing"));
    let other = puller.file("thesis/thesis.tex", "").parent().unwrap().to_path_buf();
    drop(
        puller
            .pull_bare("--prune")
            .arg("0")
            .arg("--dir")
            .arg(&other)
            .run_bare()
            .fails_with(1, "not an OCI image layout"),
    );
    assert!(other.join("thesis.tex").exists());
}
