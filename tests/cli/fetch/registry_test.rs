//! The registry of the tests, itself tested with curl and skopeo: a fault that does not happen proves nothing.

use std::path::Path;

use crate::support::registry::{
    Authority, Image, Index, Issuer, Layer, Proxy, Ranges, Registry, Reply, Request, any, get, head,
};
use crate::support::{Filter, Ran, scratch};

fn curl(url: &str, args: &[&str]) -> Ran {
    Filter::tool("curl").args(["-s", "-S", "-q", "--noproxy", "*"]).args(args).arg(url).run()
}

#[test]
fn it_serves_documents_and_blobs_and_remembers_who_asked() {
    let image = Image::small("hello");
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let url = registry.url("/v2/demo/manifests/latest");
    let answer = curl(&url, &["-i", "-H", "Accept: a/b"]).succeeds();
    assert!(answer.text().contains("Docker-Content-Digest: sha256:"), "{}", answer.text());
    assert!(answer.text().contains("schemaVersion"));
    assert!(curl(&url, &["-I"]).succeeds().text().contains("Content-Length"));
    let blob = registry.url(&format!("/v2/demo/blobs/{}", image.layers[0].digest));
    assert_eq!(curl(&blob, &[]).succeeds().stdout, &*image.layers[0].bytes);
    assert!(curl(&registry.url("/v2/other/manifests/latest"), &[]).text().contains("MANIFEST_UNKNOWN"));
    let asked = registry.asked(get("/manifests/latest"));
    assert_eq!(asked[0].header("accept"), Some("a/b"));
    assert_eq!((asked.len(), registry.asked(head("")).len(), registry.requests().len()), (2, 1, 4));
}

#[test]
fn faults_come_when_asked_for_and_in_order() {
    let registry = Registry::start();
    registry.serve("/x", "text/plain", b"0123456789".to_vec());
    registry.when(get("/x").once(), |reply| reply.cut_at(4));
    registry.when(get("/x").once(), |reply| reply.flipped(0));
    registry.when(get("/x").times(1), |reply| reply.short(3));
    registry.when(get("/x").times(1), |reply| reply.long(2));
    registry.when(get("/x").times(1), Reply::chunked);
    registry.when(get("/x").times(1), Reply::until_close);
    registry.when(get("/x").times(1), |reply| reply.chunked().cut_at(4));
    registry.when(get("/x").times(1), |reply| reply.stall_at(4));
    let x = || curl(&registry.url("/x"), &["--max-time", "1"]);
    x().fails_with(18, "transfer closed").stdout_is("0123");
    x().succeeds().stdout_is("\u{10}123456789");
    x().succeeds().stdout_is("012");
    x().succeeds().stdout_is("0123456789++");
    x().succeeds().stdout_is("0123456789");
    x().succeeds().stdout_is("0123456789");
    x().fails_with(18, "transfer closed").stdout_is("0123");
    x().fails_with(28, "timed out").stdout_is("0123");
    x().succeeds().stdout_is("0123456789");
    registry.when(any("/x").after(1).once(), |_| Reply::redirect(307, "/y"));
    x().succeeds().stdout_is("0123456789");
    assert!(curl(&registry.url("/x"), &["-i"]).text().starts_with("HTTP/1.1 307 "));
    registry.heal();
    x().succeeds().stdout_is("0123456789");
}

#[test]
fn ranges_are_honoured_ignored_or_falsified() {
    let registry = Registry::start();
    registry.serve("/x", "text/plain", b"0123456789".to_vec());
    let x = || curl(&registry.url("/x"), &["-i", "-H", "Range: bytes=4-"]).text().to_owned();
    assert!(x().contains("206") && x().contains("bytes 4-9/10") && x().ends_with("\n456789"));
    registry.ranges(Ranges::Early(2));
    assert!(x().contains("bytes 2-9/10") && x().ends_with("\n23456789"));
    registry.ranges(Ranges::Ignored);
    assert!(x().contains("200 OK") && x().ends_with("\n0123456789"));
    registry.ranges(Ranges::Refused);
    assert!(x().contains("416") && x().contains("bytes */10"));
}

#[test]
fn tokens_are_for_those_who_know_and_for_so_many_requests() {
    let registry = Registry::start();
    registry.push("demo", "latest", &Image::small("x"));
    registry.ask_bearer(&Issuer::account("user", "SECRET").good_for(1));
    let url = registry.url("/v2/demo/manifests/latest");
    let challenge = curl(&url, &["-i"]).text().to_owned();
    assert!(challenge.contains("scope=\"repository:demo:pull\""), "{challenge}");
    assert!(curl(&registry.url("/token"), &[]).text().contains("UNAUTHORIZED"));
    assert!(curl(&registry.url("/token"), &["-u", "user:SECRET"]).text().contains("SECRET-token-1"));
    let bearer = ["-i", "-H", "Authorization: Bearer SECRET-token-1"];
    assert!(curl(&url, &bearer).text().starts_with("HTTP/1.1 200"));
    assert!(curl(&url, &bearer).text().starts_with("HTTP/1.1 401"));
}

#[test]
fn skopeo_copies_an_image_and_an_index_from_it() {
    let image = Image::of([Layer::noise(1, 5000), Layer::file("a", "b")]);
    let other = Image::small("other").platform("linux/s390x");
    let registry = Registry::start();
    registry.push("demo", "image", &image);
    registry.push("demo", "index", &Index::of([&other, &image]).attestation(&image));
    let scratch = scratch();
    for tag in ["image", "index"] {
        let to = format!("oci:{}:{tag}", scratch.path().join("layout").display());
        let from = format!("docker://{}", registry.name(format!("demo:{tag}")));
        Filter::tool("skopeo").args(["copy", "-q", "--src-tls-verify=false", &from, &to]).run().succeeds();
    }
}

#[test]
fn tls_asks_for_trust_and_for_a_certificate() {
    let authority = Authority::new();
    let scratch = scratch();
    let ca = authority.write(scratch.path());
    let ca = ca.to_str().unwrap();
    let registry = Registry::start_tls(authority.server_for_known_clients());
    let url = registry.url("/v2/");
    curl(&url, &[]).fails_with(60, "certificate");
    let refused = curl(&url, &["--cacert", ca]);
    assert!(!refused.status.success(), "{}", refused.report());
    let (certificate, key) = authority.identity(&["me"]).write(scratch.path(), "me");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let args = ["--cacert", ca, "--cert", &path(&certificate), "--key", &path(&key)];
    curl(&url, &args).succeeds().stdout_is("{}");
    assert!(registry.requests().iter().all(|request| request.secure));
}

#[test]
fn every_host_is_the_registry_behind_the_proxy() {
    let authority = Authority::new();
    let plain = Registry::start();
    let proxy = Proxy::to(&plain.host());
    let through = |proxy: &Proxy, url: &str, more: &[&str]| {
        Filter::tool("curl").args(["-s", "-S", "-q", "-x", &proxy.url()]).args(more).arg(url).run()
    };
    through(&proxy, "http://registry.test/v2/", &[]).succeeds().stdout_is("{}");
    let secure = Registry::start_tls(authority.server());
    let tunnel = Proxy::to(&secure.host());
    through(&tunnel, "https://registry.test/v2/", &["-k"]).succeeds().stdout_is("{}");
    let targets = |proxy: &Proxy| proxy.requests().iter().map(|r: &Request| r.target.clone()).collect::<Vec<_>>();
    assert_eq!(targets(&proxy), ["http://registry.test/v2/"]);
    assert_eq!(targets(&tunnel), ["registry.test:443"]);
}
