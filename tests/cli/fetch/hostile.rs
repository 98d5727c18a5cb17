//! Servers, proxies and neighbours that mean no good, or know no better (R2, R5).

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;

use super::one;
use crate::support::registry::{Artifact, Image, Index, Layer, Puller, Ranges, Registry, Reply, any, get, head};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_wait_beyond_all_bounds_is_not_waited() {
    for value in ["301", "18446744073709551615", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let (_, registry, puller) = one();
        registry.when(any("/manifests/"), move |_| Reply::error(503, "UNAVAILABLE", "no").header("Retry-After", value));
        let since = Instant::now();
        puller.pull(registry.name("demo")).retries(5).run().fails(&["503", "come back in"]).says_nothing();
        assert!(since.elapsed() < Duration::from_secs(60), "{value}: {:?}", since.elapsed());
        assert_eq!(registry.asked(any("/manifests/")).len(), 1, "{value}");
    }
}

#[test]
fn a_wait_that_makes_no_sense_is_as_good_as_none() {
    for value in ["", "-5", "1e9", "0x10", "soon", "Wed, 99 Foo 2015 07:28:00 GMT", "\u{ff}"] {
        let (image, registry, puller) = one();
        registry.when(any("/manifests/").once(), move |_| {
            Reply::error(503, "UNAVAILABLE", "no").header("Retry-After", value)
        });
        puller.pull(registry.name("demo")).run().gets(&image);
    }
}

#[test]
fn a_mirror_that_wants_a_wait_is_left_for_the_next_place() {
    let (image, registry, puller) = one();
    let mirror = Registry::start_elsewhere();
    mirror.when(any("/v2/"), |_| Reply::error(429, "TOOMANYREQUESTS", "no").header("Retry-After", "200"));
    puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        registry.host(),
        mirror.host()
    ));
    let since = Instant::now();
    puller.pull(registry.name("demo")).retries(5).run().gets(&image).warns("mirror");
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
}

#[test]
fn a_proxy_that_compresses_is_named_as_the_cause() {
    let (image, registry, puller) = one();
    let blob = image.layers[0].bytes.to_vec();
    registry
        .when(get(&*image.layers[0].digest), move |reply| reply.body(gzip(&blob)).header("Content-Encoding", "gzip"));
    puller.pull(registry.name("demo")).run().fails(&["sha256:", "content-encoding gzip"]);
    let asked = registry.asked(get(&*image.layers[0].digest));
    assert!(asked.iter().all(|request| request.header("Accept-Encoding") == Some("identity")));
    registry.heal();
    registry.when(get("/manifests/"), |reply| reply.body(gzip(b"{}")).header("Content-Encoding", "gzip"));
    let digest = image.root().digest;
    Puller::new()
        .pull(registry.name(format!("demo@{digest}")))
        .run()
        .fails(&["digest", "content-encoding gzip"])
        .says_nothing();
}

#[test]
fn a_store_of_blobs_that_calls_its_files_encoded_is_taken_at_its_bytes() {
    let (image, registry, puller) = one();
    registry.when(get("/v2/"), |reply| reply.header("Content-Encoding", "gzip"));
    puller.pull(registry.name("demo")).retries(0).run().quietly().gets(&image);
}

#[test]
fn a_server_that_cannot_resume_and_breaks_off_here_and_there_is_left_in_the_end() {
    let image = Image::of([Layer::noise(1, 5 << 20)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.ranges(Ranges::Ignored);
    let turn = AtomicU64::new(0);
    registry.when(get(&*image.layers[0].digest), move |reply| {
        reply.cut_at(if turn.fetch_add(1, Ordering::SeqCst) % 2 == 0 { 3 << 19 } else { 9 << 19 })
    });
    Puller::new().pull(registry.name("demo")).retries(2).run().fails(&["sha256:", "broke|connection"]);
    let asked = registry.asked(get(&*image.layers[0].digest)).len();
    assert!((3..=6).contains(&asked), "asked {asked} times");
}

#[test]
fn a_wait_for_a_neighbour_is_told() {
    let (image, registry, puller) = one();
    registry.when(get(&*image.layers[0].digest).once(), |reply| reply.slow(500, Duration::from_millis(100)));
    let neighbour = puller.pull(registry.name("demo")).timeout(60).spawn();
    while registry.asked(get(&*image.layers[0].digest)).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    puller.pull(registry.name("demo")).run().gets(&image).warns("waiting for another process");
    drop(neighbour.wait().succeeds().quiet());
    assert_eq!(registry.asked(get(&*image.layers[0].digest)).len(), 1, "it was fetched once");
}

#[test]
fn a_registry_that_is_gone_leaves_a_hint_where_the_store_would_do() {
    let (image, registry, puller) = one();
    let name = registry.name("demo");
    puller.pull(&name).run().gets(&image);
    drop(registry);
    puller.pull(&name).run().fails(&["refused|connect"]).says_nothing().warns("--offline");
    Puller::new().pull(&name).run().fails(&["refused|connect"]).says_nothing();
}

#[test]
fn answers_of_the_wrong_kind_are_no_blobs() {
    for status in [201, 202, 204, 206, 300, 304, 305] {
        let (image, registry, puller) = one();
        registry.when(get(&*image.layers[0].digest), move |mut reply| {
            reply.status = status;
            reply
        });
        puller.pull(registry.name("demo")).run().fails(&["sha256:", &format!("{status}|range")]);
    }
}

#[test]
fn a_head_that_lies_costs_a_get_and_no_more() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    for lie in ["sha256:00", "nonsense", "../../etc/passwd", "sha512:"] {
        registry.heal();
        registry.when(head("/manifests/"), move |reply| reply.header("Docker-Content-Digest", lie));
        puller.pull(registry.name("demo")).run().quietly().gets(&image);
    }
    assert_eq!(registry.asked(get("/manifests/")).len(), 5);
}

#[test]
fn a_server_that_fails_at_head_is_asked_by_get() {
    for status in [403, 404, 405, 500, 501, 503] {
        let (image, registry, puller) = one();
        puller.pull(registry.name("demo")).run().gets(&image);
        registry.when(head("/manifests/"), move |_| Reply::error(status, "UNSUPPORTED", "what is that?"));
        puller.pull(registry.name("demo")).run().quietly().gets(&image);
        assert_eq!((registry.asked(head("/")).len(), registry.asked(get("/manifests/")).len()), (1, 2), "{status}");
    }
}

#[test]
fn two_hosts_that_point_at_each_other_are_left() {
    let (image, registry, puller) = one();
    let elsewhere = Registry::start_elsewhere();
    let (there, back) = (elsewhere.url("/x?s=SECRET"), registry.url("/y?s=SECRET"));
    for (server, to) in [(&registry, there), (&elsewhere, back)] {
        server.when(any("?s="), {
            let to = to.clone();
            move |_| Reply::redirect(302, &to)
        });
        server.when(get(&*image.layers[0].digest), move |_| Reply::redirect(302, &to));
    }
    puller.pull(registry.name("demo")).run().fails(&["redirect"]);
    assert!(registry.requests().len() + elsewhere.requests().len() < 40);
}

#[test]
fn of_the_addresses_of_a_foreign_layer_a_few_are_tried() {
    let elsewhere = Registry::start_elsewhere();
    let urls: Vec<String> = (0..1000).map(|number| elsewhere.url(&format!("/layer/{number}"))).collect();
    let image = Image::of([Layer::noise(1, 1000).foreign(&urls)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    Puller::new().pull(registry.name("demo")).retries(0).run().fails(&["404"]);
    let asked = elsewhere.asked(get("/layer/")).len();
    assert!((2..=8).contains(&asked), "{asked}");
}

/// Each of which is in time.
#[test]
#[ignore = "check-full: waits for 40 seconds"]
fn an_index_of_slow_documents_is_not_followed_for_ever() {
    let images = (0..60).map(|number| Image::small(&number.to_string()).platform("plan9/mips"));
    let index = images.fold(Index::default(), |index, image| index.entry(image.descriptor(), &image));
    let registry = Registry::start();
    registry.push("demo", "latest", &index);
    registry.when(any("/v2/"), |reply| reply.after(Duration::from_secs(3)));
    let (puller, start) = (Puller::new(), Instant::now());
    puller.pull(registry.name("demo")).timeout(1).run().fails(&["not whole after 40 s", "--timeout"]);
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
}
