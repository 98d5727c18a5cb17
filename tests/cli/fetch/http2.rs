//! Registries that speak no HTTP/1.1, and those that speak both (R9). `nghttpx` is a real server of HTTP/2.

use crate::support::registry::{Authority, Image, Layer, Nghttpx, Puller, Registry, get};

/// An image of small and large layers, and its registry.
fn served() -> (Image, Registry) {
    let image = Image::of((0..12).map(|seed| Layer::noise(seed, if seed == 5 { 9_000_000 } else { 20_000 })));
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    (image, registry)
}

/// Pulls with the authority trusted and with any certificate; tells by which versions the answers came.
fn pulled_both_ways(proxy: &Nghttpx, authority: &Authority, image: &Image) -> Vec<String> {
    let trusting = Puller::new();
    let ca = authority.write(&trusting.home());
    trusting.pull(proxy.name("demo")).arg("--ca-cert").arg(ca).run().quietly().gets_exactly(image);
    Puller::new().pull(proxy.name("demo")).arg("--tls-no-verify").run().quietly().gets_exactly(image);
    proxy.versions()
}

#[test]
fn http2_is_spoken_to_who_speaks_nothing_else() {
    let (image, registry) = served();
    let authority = Authority::new();
    let proxy = Nghttpx::before(&registry.host(), &authority.identity(&["127.0.0.1"]), "h2");
    let versions = pulled_both_ways(&proxy, &authority, &image);
    assert!(versions.len() > 20 && versions.iter().all(|version| version == "h2"), "{versions:?}");
    // An unknown authority stays unknown.
    Puller::new().pull(proxy.name("demo")).retries(5).run().fails(&["certificate"]).says_nothing();
}

#[test]
fn who_speaks_both_is_spoken_to_by_http1() {
    let (image, registry) = served();
    let authority = Authority::new();
    let proxy = Nghttpx::before(&registry.host(), &authority.identity(&["127.0.0.1"]), "h2,http/1.1");
    let versions = pulled_both_ways(&proxy, &authority, &image);
    assert!(versions.len() > 20 && versions.iter().all(|version| version == "http/1.1"), "{versions:?}");
}

#[test]
fn a_stream_that_breaks_off_is_carried_on_with() {
    let (image, registry) = served();
    let authority = Authority::new();
    let proxy = Nghttpx::before(&registry.host(), &authority.identity(&["127.0.0.1"]), "h2");
    let large = &image.layers[5];
    registry.when(get(&*large.digest).times(1), |reply| reply.cut_at(5_000_000));
    let puller = Puller::new();
    puller.pull(proxy.name("demo")).arg("--tls-no-verify").retries(2).run().warns("broke off").gets(&image);
    let asked = registry.asked(get(&*large.digest));
    let range = asked.last().and_then(|request| request.header("Range")).expect("a part was asked for");
    let from = range["bytes=".len()..].split('-').next().unwrap().parse::<usize>().unwrap();
    assert!((1..=5_000_000).contains(&from), "{range}");
}
