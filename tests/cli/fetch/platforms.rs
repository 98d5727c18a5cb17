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
    if pulled.ran.status.success() {
        pulled.gets(&Image::small("x"));
    } else {
        pulled.fails(&["nest|deep|level"]).says_nothing();
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

/// An index of `entries`, each an image with a change to its descriptor; the pull gets the image `taken`.
#[track_caller]
fn gets_of(entries: &[(&Image, serde_json::Value)], taken: &Image) {
    let mut index = Index::default();
    for (image, change) in entries {
        let mut descriptor = image.descriptor();
        for (key, value) in change.as_object().expect("an object") {
            descriptor[key] = value.clone();
        }
        index = index.entry(descriptor, *image);
    }
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    Puller::new().pull(registry.name("demo")).run().quietly().gets_exactly(taken);
}

/// A manifest with the config of an artifact.
fn artifact() -> Image {
    Image::small("sbom").edited(|manifest| {
        manifest["artifactType"] = json!("application/vnd.example.sbom");
        manifest["config"]["mediaType"] = json!("application/vnd.oci.empty.v1+json");
    })
}

/// What cosign makes: an image whose config says nothing, with a layer that is no tar.
fn signature() -> Image {
    let mut image = Image::small("signature");
    image.layers[0] = image.layers[0].clone().media_type("application/vnd.dev.cosign.simplesigning.v1+json");
    let diff_id = image.layers[0].diff_id.clone();
    let config =
        json!({ "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": [diff_id] } });
    image.config_bytes(config.to_string())
}

#[test]
fn an_artifact_type_that_is_the_configs_media_type_makes_no_artifact() {
    let (other, mine) = (Image::small("other").platform("linux/s390x"), Image::small("mine"));
    for kind in [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "Application/vnd.oci.image.config.v1+json; charset=utf-8",
        "",
    ] {
        let typed = |image: &Image| json!({ "artifactType": kind, "platform": image.listed()["platform"] });
        gets_of(&[(&other, typed(&other)), (&mine, typed(&mine))], &mine);
    }
    let sbom = json!({ "artifactType": "application/spdx+json", "platform": mine.listed()["platform"] });
    gets_of(&[(&other, sbom), (&mine, json!({ "platform": mine.listed()["platform"] }))], &mine);
}

#[test]
fn what_is_no_image_is_passed_over_where_no_entry_has_a_platform() {
    let mine = Image::small("mine");
    let no_rootfs = Image::small("chart").config_bytes(*b"{}");
    for other in [&artifact(), &signature(), &no_rootfs] {
        gets_of(&[(other, json!({})), (&mine, json!({}))], &mine);
        gets_of(&[(&mine, json!({})), (other, json!({}))], &mine);
    }
    let silent = Image::small("silent");
    let config = json!({ "rootfs": { "type": "layers", "diff_ids": [silent.layers[0].diff_id] } });
    let silent = silent.config_bytes(config.to_string());
    gets_of(&[(&signature(), json!({})), (&silent, json!({}))], &silent);
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default().entry(artifact().descriptor(), &artifact()));
    Puller::new().pull(registry.name("demo")).run().fails(&["artifact", "vnd.example.sbom"]).says_nothing();
}

#[test]
fn an_empty_platform_or_half_of_one_is_judged_by_the_config() {
    let (other, mine) = (Image::small("other").platform("linux/s390x"), Image::small("mine"));
    for platform in [
        json!({}),
        json!(null),
        json!({ "os": "", "architecture": "" }),
        json!({ "os": "linux", "architecture": "" }),
        json!({ "os": "linux" }),
        json!({ "architecture": host_architecture() }),
        json!({ "os": null, "architecture": null, "variant": "v8" }),
    ] {
        let unsaid = json!({ "platform": platform });
        gets_of(&[(&other, unsaid.clone()), (&mine, unsaid.clone())], &mine);
        gets_of(&[(&mine, unsaid.clone()), (&other, unsaid)], &mine);
    }
}

#[test]
fn features_that_nobody_asked_for_make_another_platform() {
    let (erofs, mine) = (Image::small("erofs"), Image::small("mine"));
    let mut platform = erofs.listed()["platform"].clone();
    platform["os.features"] = json!(["erofs"]);
    let plain = json!({ "platform": mine.listed()["platform"] });
    gets_of(&[(&erofs, json!({ "platform": platform })), (&mine, plain)], &mine);
    let mut descriptor = erofs.listed();
    descriptor["platform"] = platform;
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default().entry(descriptor, &erofs));
    Puller::new().pull(registry.name("demo")).run().fails(&["linux(+erofs)/"]).says_nothing();
    let wanted = format!("linux(+erofs)/{}", host_architecture());
    Puller::new().pull(registry.name("demo")).args(["--platform", &wanted]).run().gets_exactly(&erofs);
}

#[test]
fn a_config_of_another_platform_than_its_entry_says_is_told() {
    let image = Image::small("x").platform("linux/s390x");
    let mut descriptor = image.listed();
    descriptor["platform"]["architecture"] = json!("riscv64");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::default().entry(descriptor, &image));
    let puller = Puller::new();
    let pull = puller.pull(registry.name("demo")).args(["--platform", "linux/riscv64"]);
    pull.run().gets_exactly(&image).warns("linux/s390x");
}
