//! What other clients accept from servers (R9), and what is waited for (R2).

use std::time::{Duration, Instant};

use serde_json::json;

use super::one;
use crate::support::registry::{
    Artifact, Authority, Image, Index, Issuer, Layer, Puller, Registry, Reply, any, base64, get,
};

#[test]
fn headers_that_gos_clients_take_are_taken() {
    let (image, registry, puller) = one();
    registry.when(any("/manifests/"), |reply| {
        let many = (0..300).fold(reply, |reply, i| reply.header(&format!("X-Line-{i}"), "v"));
        many.header("Content-Security-Policy", "default-src 'none';\r\n sandbox").header("X-Latin", "\u{fc}\u{e4}")
    });
    puller.pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
}

#[test]
fn an_address_to_go_on_at_may_be_in_utf_8_or_latin_1() {
    // As bytes: UTF-8 of an u with two dots, then Latin-1 of it.
    for name in ["\u{c3}\u{bc}", "\u{fc}"] {
        let (image, registry, puller) = one();
        registry.when_asked(get("/blobs/").times(3), move |request, reply| {
            if request.target.contains('?') {
                reply
            } else {
                Reply::redirect(307, &format!("{}?name={name}", request.path()))
            }
        });
        puller.pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
    }
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_costs_nothing() {
    let image = Image::of((0..20).map(|i| Layer::noise(i, 5000)));
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.closes_idle_connections();
    Puller::new().pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
}

#[test]
fn documents_that_come_compressed_are_read() {
    let image = Image::small("x");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::of([&image]));
    let issuer = Issuer::anonymous();
    registry.ask_bearer(&issuer);
    registry.when(any("/token"), Reply::gzipped);
    registry.when(any("/manifests/"), Reply::gzipped);
    Puller::new().pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
    let digest = image.root().digest;
    Puller::new().pull(registry.name(format!("demo@{digest}"))).retries(0).run().quietly().gets_exactly(&image);
    let asked = registry.requests();
    assert!(asked.iter().all(|request| request.header("Accept-Encoding") == Some("identity")), "{asked:?}");
}

#[test]
fn compression_has_several_names() {
    for name in ["GZIP", "x-gzip", " Gzip"] {
        let (image, registry, puller) = one();
        registry.when(any("/manifests/"), move |reply| reply.gzipped_as(name));
        puller.pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
    }
}

#[test]
fn a_compressed_document_is_bounded_too() {
    let (_, registry, puller) = one();
    registry.when(any("/manifests/"), |reply| reply.body(vec![b' '; 64 << 20]).gzipped());
    puller.pull(registry.name("demo")).retries(0).run().fails(&["JSON", "gzip"]).says_nothing();
}

#[test]
fn a_document_is_whole_when_it_is_right_however_the_connection_ends() {
    let image = Image::small("x");
    let registry = Registry::start();
    registry.push("demo", "latest", &Index::of([&image]));
    registry.ask_bearer(&Issuer::anonymous());
    let no_last_chunk = |reply: Reply| {
        let whole = reply.len();
        reply.chunked().cut_at(whole)
    };
    registry.when(any("/token"), no_last_chunk);
    registry.when(any("/manifests/"), no_last_chunk);
    registry.when(any("/blobs/"), no_last_chunk);
    Puller::new().pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
    // A tag of which nobody says the digest.
    registry.heal();
    registry.when(any("/manifests/latest"), move |reply| no_last_chunk(reply.without("Docker-Content-Digest")));
    Puller::new().pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
    registry.heal();
    registry.when(any("/manifests/latest"), |reply| {
        let cut = reply.len() - 1;
        reply.without("Docker-Content-Digest").chunked().cut_at(cut)
    });
    Puller::new().pull(registry.name("demo")).retries(0).run().fails(&["broke off"]).says_nothing();
}

#[test]
fn tls_may_end_without_a_word() {
    let authority = Authority::new();
    let image = Image::of([Layer::noise(1, 100_000)]);
    let registry = Registry::start_tls(authority.server());
    registry.push("demo", "latest", &image);
    // The server of the tests closes the connection without close_notify.
    registry.when(any("/v2/"), Reply::until_close);
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    puller.pull(registry.name("demo")).arg("--ca-cert").arg(ca).retries(0).run().quietly().gets_exactly(&image);
}

#[test]
fn a_wrong_digest_for_a_tag_is_told_and_taken() {
    let (image, registry, puller) = one();
    let lie = format!("sha256:{}", "0".repeat(64));
    registry.when(any("/manifests/latest"), move |reply| reply.header("Docker-Content-Digest", &lie));
    puller.pull(registry.name("demo")).run().gets_exactly(&image).warns("its digest is");
}

#[test]
fn a_first_byte_may_take_longer_than_the_others() {
    let (image, registry, puller) = one();
    registry.when(any("/v2/"), |reply| reply.after(Duration::from_millis(1800)));
    puller.pull(registry.name("demo")).timeout(1).retries(0).run().quietly().gets_exactly(&image);
}

#[test]
fn a_first_byte_is_not_waited_for_for_ever_and_the_message_names_the_flag() {
    let (_, registry, puller) = one();
    registry.when(any("/v2/"), Reply::never);
    let start = Instant::now();
    puller.pull(registry.name("demo")).timeout(1).retries(0).run().fails(&["no answer for 5 s", "--timeout"]);
    assert!(start.elapsed() >= Duration::from_secs(5));
    registry.heal();
    registry.when(any("/blobs/"), |reply| reply.stall_at(1));
    puller.pull(registry.name("demo")).timeout(1).retries(0).run().fails(&["no byte for 1 s", "--timeout"]);
}

/// What comes by a byte at a time, never silent for long, has an end all the same.
#[track_caller]
fn is_given_up(part: &str) {
    let (_, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    registry.when(any(part), |reply| reply.slow(1, Duration::from_millis(300)));
    puller.pull(registry.name("demo")).timeout(1).retries(5).run().fails(&["not whole after 10 s"]).says_nothing();
    let asked = registry.asked(any(part));
    let answered = asked.iter().filter(|request| part == "/token" || request.header("Authorization").is_some());
    assert_eq!(answered.count(), 1, "it would be as slow again");
}

#[test]
fn a_manifest_that_drips_is_given_up() {
    is_given_up("/manifests/");
}

#[test]
fn a_token_that_drips_is_given_up() {
    is_given_up("/token");
}

#[test]
fn a_config_that_drips_is_given_up() {
    let image = Image::small("x");
    let config = crate::support::registry::digest(&image.config());
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(any(config), |reply| reply.slow(1, Duration::from_millis(300)));
    Puller::new().pull(registry.name("demo")).timeout(1).retries(5).run().fails(&["not whole after 10 s"]);
}

#[test]
fn a_refusal_by_the_host_of_a_signed_address_is_asked_about_once() {
    for status in [400, 401, 403] {
        let (image, registry, puller) = one();
        let store = Registry::start_elsewhere();
        store.when(any(""), move |_| Reply::new(status, *b"expired"));
        let to = store.url("/blob?sig=SECRET");
        registry.when(get(&*image.layers[0].digest), move |_| Reply::redirect(307, &to));
        let start = Instant::now();
        puller.pull(registry.name("demo")).retries(5).run().fails(&[&status.to_string()]);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(store.requests().len(), 2);
    }
}

#[test]
fn challenges_are_read_as_gos_clients_read_them() {
    for challenge in [
        "Basic realm=/",
        "Basic realm=Sonatype Nexus Repository Manager",
        "Basic realm=\"Gesch\u{fc}tzter Bereich\"",
        "Basic realm=\"Gesch\u{c3}\u{bc}tzter Bereich\"",
        "Basic realm=",
        "Basic realm=\"x",
        "Bearer realm=\"URL\" service=\"reg\" scope=\"repository:demo:pull\"",
        "Bearer realm=\"URL\";service=\"reg\"",
        "Bearer realm=\"URL\",service=\"reg\",title=\"Zugang f\u{fc}r alle\"",
        "Bearer realm=URL,service=reg",
        "Bearer realm = \"URL\" , service = \"reg\"",
    ] {
        let (image, registry, puller) = one();
        let issuer = Issuer::account("user", "SECRET-password");
        registry.issue(&issuer);
        let basic = format!("Basic {}", base64("user:SECRET-password"));
        let challenge = challenge.replace("URL", &registry.url("/token"));
        registry.when_asked(any("/v2/"), move |request, reply| match request.header("Authorization") {
            Some(value) if value == basic || value.starts_with("Bearer SECRET-token-") => reply,
            _ => Reply::new(401, *b"").header("WWW-Authenticate", &challenge),
        });
        puller.docker_config(&json!({ "auths": { registry.host(): { "auth": base64("user:SECRET-password") } } }));
        puller.pull(registry.name("demo")).run().quietly().gets_exactly(&image);
    }
}
