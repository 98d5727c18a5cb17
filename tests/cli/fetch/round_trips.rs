//! How many exchanges stand in a row before the first byte of a layer: on a distant registry each of them is felt.

use std::time::Duration;

use crate::support::registry::{Artifact, Image, Index, Issuer, Layer, Puller, Registry, Reply, get};

/// So long the servers take for each answer that the test looks at.
const LATENCY: Duration = Duration::from_millis(900);

/// A pull with a token, an index and another server for the blobs; tells what was asked of the registry before the first blob.
#[track_caller]
fn asked_before_blobs(image: &Image, top: &impl Artifact, more: &[&str]) -> Vec<String> {
    let (registry, store) = (Registry::start(), Registry::start_elsewhere());
    registry.push("demo", "latest", top);
    let issuer = Issuer::anonymous();
    registry.ask_bearer(&issuer);
    for part in image.parts() {
        store.serve(&format!("/{}", part.digest), "application/octet-stream", part.bytes.clone());
    }
    let to = store.url("");
    registry.when_asked(get("/blobs/"), move |request, _| {
        let digest = request.path().rsplit('/').next().unwrap_or_default();
        Reply::redirect(307, &format!("{to}/{digest}?sig=SECRET")).after(LATENCY)
    });
    store.when(get("/"), |reply| reply.after(LATENCY));
    let puller = Puller::new();
    puller.pull(registry.name("demo")).args(more).run().quietly().gets(image);
    // The config and all layers at once, at both servers.
    for server in [&registry, &store] {
        let blobs = server.asked(get("sha256:"));
        let blobs: Vec<_> = blobs.iter().filter(|request| !request.target.contains("/manifests/")).collect();
        assert_eq!(blobs.len(), image.layers.len() + 1);
        let (first, last) = (blobs[0].at, blobs[blobs.len() - 1].at);
        assert!(last - first < LATENCY, "one waits for the other: {:?}", last - first);
    }
    let requests = registry.requests();
    let before = requests.iter().take_while(|request| !request.target.contains("/blobs/"));
    before
        .map(|request| request.path().rsplit('/').nth(1).unwrap_or_default().to_owned() + " " + &request.method)
        .collect()
}

#[test]
fn a_pull_with_token_index_and_another_host_for_blobs_has_four_exchanges_before_them() {
    let image = Image::of([Layer::noise(1, 3000), Layer::noise(2, 3000)]);
    let asked = asked_before_blobs(&image, &Index::of([&image]), &[]);
    assert_eq!(asked, ["manifests GET", " GET", "manifests GET", "manifests GET"]);
}

#[test]
fn the_config_is_not_waited_for_where_no_platform_was_asked_for() {
    let image = Image::of([Layer::noise(1, 3000), Layer::noise(2, 3000)]);
    let asked = asked_before_blobs(&image, &image, &[]);
    assert_eq!(asked, ["manifests GET", " GET", "manifests GET"]);
}

#[test]
fn layers_that_came_beside_a_config_that_is_wrong_make_no_image() {
    let image = Image::of([Layer::noise(1, 3000)]).config_bytes(*br#"{"rootfs":{"diff_ids":[]}}"#);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let puller = Puller::new();
    puller.pull(registry.name("demo")).run().fails(&["0 layers", "the manifest 1"]).says_nothing();
    let other = Image::small("x").platform("linux/s390x");
    registry.push("other", "latest", &other);
    let pull = puller.pull(registry.name("other")).args(["--platform", "linux/riscv64"]);
    pull.run().fails(&["no image for linux/riscv64"]).says_nothing();
    let layer = &other.layers[0].digest;
    assert!(registry.asked(get(layer.clone())).is_empty(), "what is not wanted is not fetched");
}
