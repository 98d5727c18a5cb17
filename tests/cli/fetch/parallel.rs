//! Several downloads at once, and what one's trouble means to the others (R1-R3).

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::registry::{Image, Issuer, Layer, Puller, Registry, Reply, get};

fn many(count: u64) -> (Image, Registry, Puller) {
    let image = Image::of((0..count).map(|seed| Layer::noise(seed, 30_000)));
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    (image, registry, Puller::new())
}

fn blob(layer: &Layer) -> String {
    format!("/blobs/{}", layer.digest)
}

#[test]
fn a_failure_ends_the_other_downloads() {
    let (image, registry, puller) = many(2);
    registry.when(get(blob(&image.layers[0])), |reply| reply.slow(100, Duration::from_millis(100)));
    registry.remove(&format!("/v2/demo{}", blob(&image.layers[1])));
    let since = Instant::now();
    puller.pull(registry.name("demo")).run().fails(&["layer 1", "404"]);
    // The slow layer alone would take half a minute.
    assert!(since.elapsed() < Duration::from_secs(25), "took {:?}", since.elapsed());
}

#[test]
fn a_token_that_expires_under_many_downloads_is_renewed_by_one_of_them() {
    let (image, registry, puller) = many(12);
    let issuer = Issuer::anonymous().good_for(8);
    registry.ask_bearer(&issuer);
    puller.pull(registry.name("demo")).args(["-j", "6"]).run().gets_exactly(&image).quietly();
    // One manifest, one config, twelve layers: two tokens are enough, and those refused meanwhile cost at most one more.
    assert!((2..=3).contains(&issuer.issued()), "{} tokens", issuer.issued());
}

#[test]
fn a_server_that_asks_for_an_hour_is_left_and_quoted() {
    let (_, registry, puller) = many(1);
    registry.when(get("/manifests/"), |_| {
        Reply::error(429, "TOOMANYREQUESTS", "pull rate limit").header("Retry-After", "3600")
    });
    let since = Instant::now();
    puller.pull(registry.name("demo")).run().fails(&["429", "pull rate limit", "come back in 3600 s"]);
    assert!(since.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_helper_is_a_name_and_no_path() {
    let (_, registry, puller) = many(1);
    registry.ask_basic("user", "SECRET");
    puller.docker_config(&json!({ "credsStore": "../../../bin/sh" }));
    let pulled = puller.pull(registry.name("demo")).run().fails(&["no credentials"]);
    pulled.ran.says("no name of a credential helper");
}

#[test]
fn a_store_that_cannot_be_written_serves_what_it_has() {
    let (image, registry, puller) = many(2);
    puller.pull(registry.name("demo")).run().gets(&image);
    let index = puller.store().join("index.json");
    let before = std::fs::metadata(&index).unwrap().modified().unwrap();
    // Root may write anywhere, so it is told by what it does: nothing is rewritten.
    std::fs::set_permissions(puller.store(), std::fs::Permissions::from_mode(0o555)).unwrap();
    puller.pull(registry.name("demo")).run().gets(&image).quietly();
    std::fs::set_permissions(puller.store(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::metadata(&index).unwrap().modified().unwrap(), before);
}
