//! Which image of an index is taken (R4).

use serde_json::json;

use crate::support::registry::{Artifact, Image, Index, Puller, Registry, any, get, host_architecture};

/// An index of images for these platforms, the file in each named by its platform.
fn index(platforms: &[&str]) -> (Vec<Image>, Index) {
    let images: Vec<Image> = platforms.iter().map(|platform| Image::small(platform).platform(platform)).collect();
    let index = Index::of(&images);
    (images, index)
}

/// Pulls with `--platform wanted` from an index of `platforms`, expecting the one called `taken`.
#[track_caller]
fn takes(platforms: &[&str], wanted: &str, taken: &str) {
    let (images, index) = index(platforms);
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    let puller = Puller::new();
    let at = platforms.iter().position(|platform| *platform == taken).expect("one of them");
    let pulled = puller.pull(registry.name("demo")).args(["--platform", wanted]).run().gets_exactly(&images[at]);
    let mut words = taken.split('/');
    let platform = &pulled.records()[0]["platform"];
    assert_eq!(platform["os"].as_str(), words.next());
    assert_eq!(platform["architecture"].as_str(), words.next());
}

/// Pulls with `--platform wanted`, expecting an error that names `told`.
#[track_caller]
fn refuses(platforms: &[&str], wanted: &str, told: &[&str]) {
    let (_, index) = index(platforms);
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    let puller = Puller::new();
    puller.pull(registry.name("demo")).args(["--platform", wanted]).run().fails(told).says_nothing();
    assert!(registry.asked(any("/blobs/")).is_empty());
}

#[test]
fn the_hosts_own_platform_is_the_default() {
    let mine = format!("linux/{}", host_architecture());
    let (images, index) = index(&["linux/s390x", "windows/amd64", &mine]);
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    Puller::new().pull(registry.name("demo")).run().quietly().gets_exactly(&images[2]);
    assert!(registry.asked(get(images[0].root().digest)).is_empty(), "only what is needed is fetched");
}

#[test]
fn a_platform_is_chosen_exactly() {
    takes(&["linux/amd64", "linux/arm64", "linux/s390x"], "linux/s390x", "linux/s390x");
    takes(&["linux/amd64", "windows/amd64"], "windows/amd64", "windows/amd64");
    takes(&["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v6");
}

#[test]
fn arm64_is_arm64_v8() {
    takes(&["linux/amd64", "linux/arm64"], "linux/arm64/v8", "linux/arm64");
    takes(&["linux/amd64", "linux/arm64/v8"], "linux/arm64", "linux/arm64/v8");
}

#[test]
fn an_older_variant_will_do_and_the_newest_of_them_is_best() {
    takes(&["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", "linux/arm/v6");
    takes(&["linux/arm/v5"], "linux/arm/v7", "linux/arm/v5");
    takes(&["linux/arm/v5", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v5");
    takes(&["linux/arm/v6", "linux/arm/v7"], "linux/arm", "linux/arm/v7");
}

#[test]
fn a_newer_variant_will_not_do() {
    refuses(&["linux/arm/v7"], "linux/arm/v6", &["linux/arm/v6", "linux/arm/v7"]);
    refuses(&["linux/arm64"], "linux/arm/v7", &["linux/arm/v7", "linux/arm64"]);
}

#[test]
fn a_missing_platform_is_answered_with_those_there_are() {
    refuses(
        &["linux/arm64", "linux/s390x", "windows/amd64"],
        "linux/riscv64",
        &["linux/riscv64", "linux/arm64", "linux/s390x", "windows/amd64"],
    );
}

#[test]
fn attestations_are_no_platforms() {
    let image = Image::small("x").platform("linux/s390x");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::of([&image]).attestation(&image));
    let puller = Puller::new();
    let pull = puller.pull(registry.name("demo")).args(["--platform", "linux/arm64"]);
    let pulled = pull.run().fails(&["linux/s390x"]);
    assert!(!pulled.ran.stderr.contains("unknown"), "{}", pulled.ran.report());
    let pull = puller.pull(registry.name("demo")).args(["--platform", "unknown/unknown"]);
    pull.run().fails(&["unknown/unknown"]).says_nothing();
}

#[test]
fn the_list_goes_through_nested_indexes() {
    let (_, inner) = index(&["linux/s390x", "linux/ppc64le"]);
    let (_, outer) = index(&["windows/amd64"]);
    let registry = Registry::start();
    registry.push("demo", "latest", &outer.nested(&inner));
    let pull = Puller::new();
    let pull = pull.pull(registry.name("demo")).args(["--platform", "linux/arm64"]);
    pull.run().fails(&["linux/s390x", "linux/ppc64le", "windows/amd64"]).says_nothing();
}

#[test]
fn an_entry_without_a_platform_is_judged_by_its_config() {
    let other = Image::small("other").platform("linux/s390x");
    let mine = Image::small("mine");
    let index = Index::default().entry(other.descriptor(), &other).entry(mine.descriptor(), &mine);
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    Puller::new().pull(registry.name("demo")).run().gets_exactly(&mine);
}

#[test]
fn an_index_of_one_image_without_a_platform_is_that_image() {
    let image = Image::small("x");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default().entry(image.descriptor(), &image));
    Puller::new().pull(registry.name("demo")).run().gets_exactly(&image);
}

#[test]
fn an_empty_index_is_an_error() {
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default());
    Puller::new().pull(registry.name("demo")).run().fails(&["platform|empty|no image|index"]).says_nothing();
}

#[test]
fn an_entry_that_leads_nowhere_is_named() {
    let gone = Image::small("x").listed();
    let digest = gone["digest"].as_str().unwrap().to_owned();
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default().dangling(gone));
    Puller::new().pull(registry.name("demo")).run().fails(&[&digest[..19], "404|not found|unknown"]).says_nothing();
}

#[test]
fn indexes_within_indexes_end_somewhere() {
    let mut index = Index::of([&Image::small("x")]);
    for _ in 0..200 {
        index = Index::default().nested(&index);
    }
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    let puller = Puller::new();
    let pulled = puller.pull(registry.name("demo")).run();
    match pulled.ran.status.success() {
        true => drop(pulled.gets(&Image::small("x"))),
        false => drop(pulled.fails(&["nest|deep|level"]).says_nothing()),
    }
}

#[test]
fn an_index_of_very_many_is_told_in_bounded_words() {
    let image = Image::small("x").platform("linux/s390x");
    let mut index = Index::default();
    for i in 0..2000 {
        let mut listed = image.listed();
        listed["platform"]["architecture"] = json!(format!("arch{i}"));
        index = index.dangling(listed);
    }
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    Puller::new().pull(registry.name("demo")).run().fails(&["arch0"]).says_nothing();
}

#[test]
fn names_of_platforms_cannot_drive_the_terminal() {
    let image = Image::small("x").platform("linux/s390x");
    let mut listed = image.listed();
    listed["platform"]["architecture"] = json!("\u{1b}[2Jarch\n\u{202e}");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default().entry(listed, &image));
    Puller::new().pull(registry.name("demo")).run().fails(&["arch"]).says_nothing();
}

#[test]
fn an_image_for_another_platform_is_not_taken_for_the_one_wanted() {
    let image = Image::small("x").platform("linux/s390x");
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let puller = Puller::new();
    let pull = puller.pull(registry.name("demo")).args(["--platform", "linux/arm64"]);
    pull.run().fails(&["linux/arm64", "linux/s390x"]).says_nothing();
    puller.pull(registry.name("demo")).args(["--platform", "linux/s390x"]).run().gets_exactly(&image);
}

#[test]
fn a_platform_that_is_none_is_wrong_usage() {
    for bad in ["linux", "linux/", "/amd64", "a/b/c/d", ""] {
        let puller = Puller::new();
        let ran = puller.pull("127.0.0.1:1/demo").args(["--platform", bad]).run().ran;
        drop(ran.fails_with(2, "--platform"));
    }
}

#[test]
fn the_store_keeps_platforms_apart() {
    let (images, index) = index(&["linux/amd64", "linux/s390x"]);
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    let puller = Puller::new();
    let pull = |platform, more: &[&str]| {
        let platform = format!("linux/{platform}");
        puller.pull(registry.name("demo")).args(["--platform", &platform]).args(more).run()
    };
    pull("amd64", &[]).gets_exactly(&images[0]);
    pull("s390x", &["--offline"]).fails(&["offline|store|cache"]).says_nothing();
    pull("s390x", &[]).gets_exactly(&images[1]);
    pull("amd64", &["--offline"]).gets_exactly(&images[0]);
    pull("s390x", &["--offline"]).gets_exactly(&images[1]);
}
