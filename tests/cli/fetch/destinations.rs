//! Where a server may send us: token realms, redirects, foreign URLs (R8).

use serde_json::json;

use super::one;
use crate::support::registry::{Authority, Image, Issuer, Layer, Proxy, Puller, Registry, Reply, any, base64, get};

const USER: &str = "user";
const PASSWORD: &str = "SECRET-password";

/// Spellings of addresses of this machine, and of those that clouds tell their machines at.
const NEAR: [&str; 14] = [
    "127.0.0.1",
    "127.8.7.6",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "localhost",
    "localhost.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "169.254.169.254",
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
];

/// What sends the client to an address.
#[derive(Clone, Copy, Debug)]
enum By {
    Realm,
    Token,
    Manifest,
    Blob,
    Urls,
}

const ALL: [By; 5] = [By::Realm, By::Token, By::Manifest, By::Blob, By::Urls];

/// A registry, at `own` to its clients, that sends whoever asks to `to`, by one of the ways.
fn sends(registry: &Registry, own: &str, by: By, to: &str) -> Image {
    let foreign = Layer::noise(3, 1000).foreign(&[format!("{to}/layer")]);
    let image = match by {
        By::Urls => Image::of([foreign]),
        _ => Image::of([Layer::noise(1, 1000)]),
    };
    registry.push("demo", "latest", &image);
    let target = to.to_owned();
    match by {
        By::Realm => registry.ask_bearer_at(&Issuer::account(USER, PASSWORD), format!("{to}/token")),
        By::Token => {
            registry.issue(&Issuer::anonymous());
            registry.ask_bearer_at(&Issuer::anonymous(), format!("{own}/token"));
            registry.when(any("/token"), move |_| Reply::redirect(307, &format!("{target}/token")));
        }
        By::Manifest => registry.when(any("/manifests/"), move |_| Reply::redirect(307, &format!("{target}/manifest"))),
        By::Blob => registry.when(any("/blobs/"), move |_| Reply::redirect(307, &format!("{target}/blob?sig=SECRET"))),
        By::Urls => {}
    }
    image
}

#[test]
fn a_registry_elsewhere_does_not_send_us_to_this_machine_or_its_neighbours() {
    let inner = Registry::start();
    let registry = Registry::start();
    let proxy = Proxy::to(&registry.host());
    for by in ALL {
        for near in NEAR {
            let to = format!("http://{near}:{}", inner.port());
            // To the client the registry stands at another machine, behind the proxy.
            let registry = Registry::start();
            sends(&registry, "http://registry.test:5000", by, &to);
            let proxy = Proxy::to(&registry.host());
            let puller = Puller::new();
            puller.docker_config(
                &json!({ "auths": { "registry.test:5000": { "auth": base64(format!("{USER}:{PASSWORD}")) } } }),
            );
            let pull = puller.pull("registry.test:5000/demo").arg("--insecure").retries(0);
            let pull = pull.env("http_proxy", proxy.url()).env("https_proxy", proxy.url());
            let pulled = pull.run().fails(&["of this machine|link-local|metadata"]).fails(&["refused"]);
            let asked = proxy.requests();
            assert!(asked.iter().all(|request| request.target.contains("registry.test")), "{by:?} {near}: {asked:?}");
            drop(pulled);
        }
    }
    assert!(inner.requests().is_empty() && registry.requests().is_empty() && proxy.requests().is_empty());
}

#[test]
fn a_registry_that_came_by_https_does_not_send_us_to_plain_http() {
    let authority = Authority::new();
    let plain = Registry::start();
    for by in ALL {
        for insecure in [&[][..], &["--insecure"]] {
            let registry = Registry::start_tls(authority.server());
            sends(&registry, &registry.url(""), by, &plain.url(""));
            let puller = Puller::new();
            puller.docker_config(
                &json!({ "auths": { registry.host(): { "auth": base64(format!("{USER}:{PASSWORD}")) } } }),
            );
            let ca = authority.write(&puller.home());
            let pull = puller.pull(registry.name("demo")).args(insecure).arg("--ca-cert").arg(ca).retries(0);
            pull.run().fails(&["HTTPS to plain HTTP"]);
            assert!(plain.requests().is_empty(), "{by:?}");
        }
    }
}

#[test]
fn a_redirect_by_way_of_https_does_not_end_at_plain_http() {
    let authority = Authority::new();
    let (image, registry, puller) = one();
    let (middle, plain) = (Registry::start_tls(authority.server()), Registry::start());
    plain.serve("/layer", "application/octet-stream", image.layers[0].bytes.clone());
    let (there, down) = (middle.url("/layer"), plain.url("/layer"));
    registry.when(get(&*image.layers[0].digest), move |_| Reply::redirect(307, &there));
    middle.when(any(""), move |_| Reply::redirect(307, &down));
    let ca = authority.write(&puller.home());
    puller.pull(registry.name("demo")).arg("--ca-cert").arg(ca).retries(0).run().fails(&["HTTPS to plain HTTP"]);
    assert!(plain.requests().is_empty());
}

#[test]
fn a_registry_on_this_machine_may_send_us_there() {
    for by in ALL {
        let (registry, other) = (Registry::start(), Registry::start_elsewhere());
        let image = sends(&registry, &registry.url(""), by, &other.url(""));
        let issuer = Issuer::account(USER, PASSWORD);
        if let By::Realm = by {
            registry.ask_bearer_at(&issuer, other.url("/token"));
        }
        other.issue(&issuer);
        if let By::Token = by {
            // No credentials are shown, so anybody's token server will do.
            let issuer = Issuer::anonymous();
            registry.ask_bearer(&issuer);
            other.issue(&issuer);
        }
        let manifest = crate::support::registry::Artifact::root(&image);
        other.serve("/manifest", &manifest.media_type, manifest.bytes.clone());
        other.serve("/layer", "application/octet-stream", image.layers[0].bytes.clone());
        let (layer, digest) = (image.layers[0].bytes.clone(), image.layers[0].digest.clone());
        if let By::Blob = by {
            registry.heal();
            other.serve("/blob", "application/octet-stream", layer);
            let to = other.url("/blob?sig=SECRET");
            registry.when(get(digest), move |_| Reply::redirect(307, &to));
        }
        let puller = Puller::new();
        if let By::Realm = by {
            puller.docker_config(
                &json!({ "auths": { registry.host(): { "auth": base64(format!("{USER}:{PASSWORD}")) } } }),
            );
        }
        puller.pull(registry.name("demo")).run().gets(&image);
        assert!(!other.requests().is_empty(), "{by:?}");
    }
}

#[test]
fn a_labs_token_server_on_plain_http_is_used_where_the_registry_came_by_it_too() {
    let (image, registry, puller) = one();
    let issuer = Issuer::account(USER, PASSWORD);
    registry.issue(&issuer);
    registry.ask_bearer_at(&issuer, "http://tokens.test/token");
    let proxy = Proxy::to(&registry.host());
    puller
        .docker_config(&json!({ "auths": { "registry.test:5000": { "auth": base64(format!("{USER}:{PASSWORD}")) } } }));
    let pull = puller.pull("registry.test:5000/demo").arg("--insecure");
    pull.env("http_proxy", proxy.url()).env("https_proxy", proxy.url()).run().gets(&image);
    assert_eq!(issuer.issued(), 1);
}
