//! The blob store: an OCI image layout that many runs share (R1, R6).

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::one;
use crate::support::registry::{
    Artifact, Image, Index, Layer, Puller, Registry, any, assert_whole, get, head, oci_layout, parts_in_flight,
};
use crate::support::{Filter, tool};

#[test]
fn a_cached_image_costs_one_head_request() {
    let (image, registry, puller) = one();
    let first = puller.pull(registry.name("demo")).run().gets(&image);
    registry.forget();
    let second = puller.pull(registry.name("demo")).run().quietly().gets(&image);
    assert_eq!(second.manifest(), first.manifest(), "the same bytes (S6)");
    assert_eq!(registry.asked(head("/manifests/latest")).len(), 1);
    assert!(registry.asked(get("/manifests/")).is_empty() && registry.asked(any("/blobs/")).is_empty());
}

#[test]
fn a_cached_digest_costs_no_request() {
    let (image, registry, puller) = one();
    let name = registry.name(format!("demo@{}", image.root().digest));
    let first = puller.pull(&name).run().gets(&image);
    registry.forget();
    let second = puller.pull(&name).run().gets(&image);
    assert_eq!(second.manifest(), first.manifest());
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
}

#[test]
fn a_moved_tag_is_followed_and_what_is_the_same_is_kept() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let newer = Image::of([image.layers[0].clone(), Layer::file("c", "d")]);
    registry.push("demo", "latest", &newer);
    registry.forget();
    puller.pull(registry.name("demo")).run().gets_exactly(&newer);
    assert!(registry.asked(get(&*image.layers[0].digest)).is_empty(), "a layer it had was fetched again");
}

#[test]
fn offline_uses_what_there_is() {
    let (image, registry, puller) = one();
    let online = puller.pull(registry.name("demo")).run().gets(&image);
    let (name, digest) = (registry.name("demo"), registry.name(format!("demo@{}", image.root().digest)));
    drop(registry);
    let offline = puller.pull(&name).arg("--offline").run().quietly().gets(&image);
    assert_eq!(offline.manifest(), online.manifest());
    puller.pull(digest).arg("--offline").run().gets(&image);
}

#[test]
fn offline_fails_for_what_is_not_there_without_a_request() {
    let (image, registry, puller) = one();
    let pull = |name: &str| puller.pull(registry.name(name)).arg("--offline").run();
    pull("demo").fails(&["demo", "offline|store|cache"]).says_nothing();
    puller.pull(registry.name("demo")).run().gets(&image);
    registry.forget();
    pull("demo:other").fails(&["demo:other", "offline|store|cache"]).says_nothing();
    pull("other").fails(&["other", "offline|store|cache"]).says_nothing();
    assert!(registry.requests().is_empty());
}

#[test]
fn a_cached_image_of_one_registry_is_not_anothers() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let name = format!("localhost:{}/demo", registry.port());
    puller.pull(name).arg("--offline").run().fails(&["offline|store|cache"]).says_nothing();
}

#[test]
fn a_blob_that_lost_its_tail_is_fetched_again() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let blob = puller.store().join("blobs").join(image.layers[0].digest.replace(':', "/"));
    let cut = image.layers[0].bytes[..1000].to_vec();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, cut).unwrap();
    puller.pull(registry.name("demo")).arg("--offline").run().fails_wordily(&["byte|size|sha256"]);
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_blob_that_is_gone_is_fetched_again() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let blob = puller.store().join("blobs").join(image.layers[1].digest.replace(':', "/"));
    fs::remove_file(&blob).unwrap();
    puller.pull(registry.name("demo")).arg("--offline").run().fails(&[&image.layers[1].digest[..19]]);
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_manifest_that_was_changed_on_disk_is_not_believed() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let blob = puller.store().join("blobs").join(image.root().digest.replace(':', "/"));
    let wrong = Image::small("wrong").root().bytes;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, wrong).unwrap();
    puller.pull(registry.name("demo")).arg("--offline").run().fails_wordily(&["digest|sha256|size|byte"]);
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn the_default_store_is_in_the_cache() {
    let (_, registry, puller) = one();
    let pull = || puller.pull_bare(registry.name("demo"));
    drop(pull().run().ran.succeeds());
    assert_whole(&puller.home().join(".cache/oci-fetch"));
    assert!(puller.home().join(".cache/oci-fetch/index.json").exists());
    drop(pull().env("XDG_CACHE_HOME", puller.path("cache")).run().ran.succeeds());
    assert!(puller.path("cache/oci-fetch/index.json").exists());
}

#[test]
fn skopeo_and_umoci_read_the_store() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo:latest")).run().gets(&image);
    let other = Image::small("other");
    registry.push("team/other", "v1.2-3", &other);
    puller.pull(registry.name("team/other:v1.2-3")).run().gets(&other);
    for (name, image) in [("demo:latest", &image), ("team/other:v1.2-3", &other)] {
        let store = format!("oci:{}:{}", puller.store().display(), registry.name(name));
        let answer = tool("skopeo", ["inspect", &store]);
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!(answer["Digest"], image.root().digest);
        let raw = tool("skopeo", ["inspect", "--raw", &store]);
        assert_eq!(raw.stdout, &*image.root().bytes);
    }
    let list = tool("umoci", ["list".as_ref(), "--layout".as_ref(), puller.store().as_os_str()]);
    assert!(list.text().contains("demo:latest"), "{}", list.report());
}

#[test]
fn skopeo_reads_an_image_of_an_index_from_the_store() {
    let image = Image::small("mine");
    let other = Image::small("other").platform("linux/s390x");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::of([&other, &image]));
    let puller = Puller::new();
    puller.pull(registry.name("demo")).run().gets(&image);
    let store = format!("oci:{}:{}", puller.store().display(), registry.name("demo:latest"));
    let answer = tool("skopeo", ["inspect", "--config", "--raw", &store]);
    assert_eq!(answer.stdout, image.config());
}

#[test]
fn images_of_dockers_make_are_readable_by_others_and_stay_what_they_are() {
    let image = Image::of([Layer::noise(1, 30_000), Layer::file("a", "b")]).docker();
    let registry = Registry::start();
    registry.push("demo", "one", &image);
    registry.push("demo", "list", &Index::of([&Image::small("x").platform("linux/s390x").docker(), &image]).docker());
    let puller = Puller::new();
    for tag in ["one", "list"] {
        let name = registry.name(format!("demo:{tag}"));
        let first = puller.pull(&name).run().quietly().gets_exactly(&image);
        let second = puller.pull(&name).run().quietly().gets_exactly(&image);
        let third = puller.pull(&name).arg("--offline").run().quietly().gets_exactly(&image);
        assert_eq!(first.manifest(), second.manifest());
        assert_eq!(first.manifest(), third.manifest());
        assert_eq!(registry.asked(get(format!("/manifests/{tag}"))).len(), 1, "the second pull is one HEAD");
        let store = format!("oci:{}:{name}", puller.store().display());
        assert_eq!(tool("skopeo", ["inspect", "--config", "--raw", &store]).stdout, image.config());
        let copy = format!("dir:{}", puller.path(tag).display());
        tool("skopeo", ["--insecure-policy", "copy", "-q", &store, &copy]);
    }
}

#[test]
fn the_store_may_be_a_layout_that_another_tool_made() {
    let (image, registry, puller) = one();
    let there = Image::small("there");
    oci_layout(&puller.store(), &[("there", &there)]);
    puller.pull(registry.name("demo")).run().gets(&image);
    tool("skopeo", ["inspect", &format!("oci:{}:there", puller.store().display())]);
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_directory_that_is_something_else_is_no_store() {
    let (_, registry, puller) = one();
    puller.file("store/letters/to-my-mother.txt", "Dear mother");
    let pulled = puller.pull(registry.name("demo")).run();
    // Taking it or leaving it are both sane; what was there stays.
    assert!(matches!(pulled.ran.status.code(), Some(0 | 1)));
    assert_eq!(fs::read_to_string(puller.path("store/letters/to-my-mother.txt")).unwrap(), "Dear mother");
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let (_, registry, puller) = one();
    let file = puller.file("file", "");
    let pull = puller.pull_bare(registry.name("demo")).arg("--dir").arg(file.join("store"));
    pull.run().fails(&["file/store"]).says_nothing();
    // Root may write anywhere but here.
    let pull = puller.pull_bare(registry.name("demo")).arg("--dir").arg("/proc/oci-fetch-store");
    pull.run().fails(&["/proc/oci-fetch-store"]).says_nothing();
}

#[test]
fn a_store_without_room_is_an_error_and_leaves_no_wrong_blob() {
    let image = Image::of([Layer::noise(1, 3_000_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let puller = Puller::new();
    crate::support::needs_root("mount a small file system");
    fs::create_dir(puller.store()).unwrap();
    tool("mount", ["-t", "tmpfs", "-o", "size=1m", "none", puller.store().to_str().unwrap()]);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        puller.pull(registry.name("demo")).run().fails(&["space", "store|sha256"]);
    }));
    tool("umount", [puller.store()]);
    ran.unwrap();
}

#[test]
fn an_index_that_is_broken_is_named_or_made_anew() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    fs::write(puller.store().join("index.json"), "{").unwrap();
    let pulled = puller.pull(registry.name("demo")).run();
    if pulled.ran.status.success() {
        pulled.gets(&image);
    } else {
        pulled.fails(&["index.json"]).says_nothing();
    }
}

#[test]
fn symlinks_in_the_place_of_blobs_are_not_written_through() {
    let (image, registry, puller) = one();
    let victim = puller.file("victim", "precious");
    let blobs = puller.store().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let name = image.layers[0].digest.trim_start_matches("sha256:");
    std::os::unix::fs::symlink(&victim, blobs.join(name)).unwrap();
    drop(puller.pull(registry.name("demo")).run());
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn a_failed_pull_names_nothing_in_the_index() {
    let (image, registry, puller) = one();
    registry.when(get(&*image.layers[1].digest), |reply| reply.flipped(5));
    puller.pull(registry.name("demo")).run().fails(&["sha256:"]);
    if puller.store().join("index.json").exists() {
        assert_whole(&puller.store());
    }
    puller.pull(registry.name("demo")).arg("--offline").run().fails(&["offline|store|cache"]);
}

#[test]
fn two_runs_at_once_share_a_transfer_or_at_least_do_not_spoil_it() {
    let image = Image::of([Layer::noise(1, 400_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get("/blobs/"), |reply| reply.slow(40_000, Duration::from_millis(50)));
    let puller = Puller::new();
    let running: Vec<_> = (0..4).map(|_| puller.pull(registry.name("demo")).timeout(60).spawn()).collect();
    for running in running {
        drop(running.wait().succeeds());
    }
    puller.pull(registry.name("demo")).arg("--offline").run().gets(&image);
    assert!(parts_in_flight(&puller.store()).is_empty(), "{:?}", parts_in_flight(&puller.store()));
}

/// Four processes on one store, one of them killed at random, thirty times over; then all is whole.
#[test]
fn killed_neighbours_do_no_harm() {
    let shared = Layer::noise(100, 150_000);
    let images: Vec<Image> = (0..4)
        .map(|i| Image::of([shared.clone(), Layer::noise(i, 120_000), Layer::noise(i / 2 + 10, 90_000)]))
        .collect();
    let registry = Registry::start();
    for (i, image) in images.iter().enumerate() {
        registry.push("demo", &i.to_string(), image);
    }
    registry.when(get("/blobs/"), |reply| reply.slow(30_000, Duration::from_millis(5)));
    let mut random = fastrand::Rng::with_seed(4);
    let mut puller = Puller::new();
    let mut whole_survivors = 0;
    for round in 0..30 {
        if round % 10 == 0 {
            puller = Puller::new();
        }
        let pull = |i: usize| puller.pull(registry.name(format!("demo:{i}"))).timeout(60).retries(3);
        let mut running: Vec<_> = (0..4).map(|i| pull(i).spawn()).collect();
        thread::sleep(Duration::from_millis(random.u64(0..150)));
        let victim = running.swap_remove(random.usize(..4));
        victim.signal(rustix::process::Signal::KILL);
        drop(victim.wait());
        for running in running {
            drop(running.wait().succeeds());
            whole_survivors += 1;
        }
        if round % 10 != 9 {
            // Not every blob, so that the next round has something to do.
            for image in &images {
                let blob = puller.store().join("blobs").join(image.layers[random.usize(..3)].digest.replace(':', "/"));
                let _ = fs::remove_file(blob);
            }
        } else {
            for (i, image) in images.iter().enumerate() {
                pull(i).run().gets_exactly(image);
                let name = format!("oci:{}:{}", puller.store().display(), registry.name(format!("demo:{i}")));
                Filter::tool("skopeo").args(["inspect", "--raw", &name]).run().succeeds();
            }
            assert!(parts_in_flight(&puller.store()).is_empty(), "{:?}", parts_in_flight(&puller.store()));
        }
    }
    assert_eq!(whole_survivors, 90);
}

#[test]
fn a_cached_image_of_an_index_costs_one_head_request() {
    let image = Image::small("mine");
    let other = Image::small("other").platform("linux/s390x");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::of([&other, &image]));
    let puller = Puller::new();
    let first = puller.pull(registry.name("demo")).run().gets(&image);
    registry.forget();
    let second = puller.pull(registry.name("demo")).run().gets(&image);
    assert_eq!(second.manifest(), first.manifest());
    assert_eq!(registry.asked(any("/manifests/")).len(), 1);
    assert_eq!(registry.asked(head("/manifests/latest")).len(), 1);
}

#[test]
fn a_head_without_a_digest_is_followed_by_a_get() {
    let (image, registry, puller) = one();
    registry.when(any("/manifests/"), |reply| reply.without("Docker-Content-Digest"));
    puller.pull(registry.name("demo")).run().gets(&image);
    let newer = Image::small("newer");
    registry.push("demo", "latest", &newer);
    puller.pull(registry.name("demo")).run().gets(&newer);
}

#[test]
fn a_tag_that_was_deleted_is_not_served_from_the_cache() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    registry.remove("/v2/demo/manifests/latest");
    puller.pull(registry.name("demo")).run().fails(&["404|not found|unknown"]).says_nothing();
}

#[test]
fn a_registry_that_is_gone_is_an_error_that_mentions_offline() {
    let (image, registry, puller) = one();
    let name = registry.name("demo");
    puller.pull(&name).run().gets(&image);
    drop(registry);
    puller.pull(&name).run().fails(&["refused|connect"]).says_nothing();
    puller.pull(&name).arg("--offline").run().gets(&image);
}

#[test]
fn what_runs_at_once_is_all_in_the_index() {
    let registry = Registry::start();
    let images: Vec<Image> = (0..8).map(|i| Image::of([Layer::noise(i, 3000)])).collect();
    for (i, image) in images.iter().enumerate() {
        registry.push("demo", &i.to_string(), image);
    }
    let puller = Puller::new();
    let name = |i: usize| registry.name(format!("demo:{i}"));
    let running: Vec<_> = (0..8).map(|i| puller.pull(name(i)).timeout(60).spawn()).collect();
    for running in running {
        drop(running.wait().succeeds());
    }
    for (i, image) in images.iter().enumerate() {
        puller.pull(name(i)).arg("--offline").run().gets_exactly(image);
    }
}

/// Waiting for who fetches the same blob is right, for as long as it takes, and is said.
#[test]
fn waiting_for_another_process_is_told() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let digest = &image.layers[0].digest;
    fs::remove_file(puller.store().join("blobs").join(digest.replace(':', "/"))).unwrap();
    // As another oci-fetch has it.
    let partial = puller.file(&format!("store/partial/{}", digest.replace(':', ".")), &image.layers[0].bytes[..1000]);
    let held = fs::File::open(&partial).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let running = puller.pull(registry.name("demo")).spawn();
    thread::sleep(Duration::from_secs(7));
    drop(held);
    let size = image.layers[0].bytes.len();
    let ran = running.wait().succeeds().one_line();
    let ran = ran.says(&format!("oci-fetch: warning: {digest}: waiting for another process that fetches it"));
    drop(ran.says(&format!("1000 of {size} bytes are there")));
    puller.pull(registry.name("demo")).run().gets(&image);
}
