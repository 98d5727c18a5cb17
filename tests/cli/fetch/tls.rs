//! Who is trusted, when plain HTTP will do, proxies and mirrors (R5).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::needs_root;
use crate::support::registry::{
    Artifact, Authority, Identity, Image, Issuer, Layer, Proxy, Puller, Registry, Reply, any, base64, get,
};

/// A directory below `/etc`, removed when the test ends.
struct CertsD(PathBuf);

impl CertsD {
    fn new(below: &str, host: &str) -> Self {
        needs_root("write certificates to /etc");
        let path = Path::new(below).join(host);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for CertsD {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // And what it stands in, when nothing else is there.
        for parent in self.0.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(parent);
        }
    }
}

fn image() -> Image {
    Image::of([Layer::noise(1, 20_000)])
}

/// A registry behind TLS with the image `demo`.
fn secure(authority: &Authority) -> Registry {
    let registry = Registry::start_tls(authority.server());
    registry.push("demo", "latest", &image());
    registry
}

#[test]
fn a_private_authority_is_trusted_when_told_to() {
    let authority = Authority::new();
    let registry = secure(&authority);
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    puller.pull(registry.name("demo")).arg("--ca-cert").arg(ca).run().quietly().gets_exactly(&image());
    assert!(registry.requests().iter().all(|request| request.secure));
}

#[test]
fn an_unknown_authority_is_refused() {
    let registry = secure(&Authority::new());
    Puller::new().pull(registry.name("demo")).retries(5).run().fails(&["certificate"]).says_nothing();
    assert!(registry.requests().is_empty());
}

#[test]
fn insecure_does_not_switch_off_the_checks() {
    let registry = secure(&Authority::new());
    Puller::new().pull(registry.name("demo")).arg("--insecure").run().fails(&["certificate"]).says_nothing();
    assert!(registry.requests().is_empty());
}

#[test]
fn tls_no_verify_accepts_any_certificate() {
    let authority = Authority::new();
    for identity in [authority.identity(&["elsewhere.test"]), authority.expired(&["127.0.0.1"])] {
        let registry = Registry::start_tls(identity.server());
        registry.push("demo", "latest", &image());
        Puller::new().pull(registry.name("demo")).arg("--tls-no-verify").run().gets(&image());
    }
}

#[test]
fn a_certificate_for_another_host_or_another_time_is_refused() {
    let authority = Authority::new();
    for identity in [authority.identity(&["elsewhere.test"]), authority.expired(&["127.0.0.1"])] {
        let registry = Registry::start_tls(identity.server());
        let puller = Puller::new();
        let ca = authority.write(&puller.home());
        puller.pull(registry.name("demo")).arg("--ca-cert").arg(ca).run().fails(&["certificate"]).says_nothing();
        assert!(registry.requests().is_empty());
    }
}

/// As Docker's manual has people make one for a registry.
#[test]
fn a_certificate_that_signs_itself_is_trusted_when_it_is_named() {
    let here = ["127.0.0.1"];
    let shown = Identity::self_signed(&here, 4000);
    let registry = Registry::start_tls(shown.server());
    registry.push("demo", "latest", &image());
    let puller = Puller::new();
    let pull = |trusting: &Identity| {
        let (cert, _) = trusting.write(&puller.home(), "named");
        puller.pull(registry.name("demo")).arg("--ca-cert").arg(cert).run()
    };
    puller.pull(registry.name("demo")).run().fails(&["certificate", "--ca-cert"]).says_nothing();
    // Another with the same words in it.
    pull(&Identity::self_signed(&here, 4000)).fails(&["certificate"]).says_nothing();
    assert!(registry.requests().is_empty());
    pull(&shown).quietly().gets_exactly(&image());

    // For somebody else, and of another time.
    for shown in [Identity::self_signed(&["elsewhere.test"], 4000), Identity::self_signed(&here, 2001)] {
        let registry = Registry::start_tls(shown.server());
        registry.push("demo", "latest", &image());
        let puller = Puller::new();
        let (cert, _) = shown.write(&puller.home(), "named");
        puller.pull(registry.name("demo")).arg("--ca-cert").arg(cert).run().fails(&["certificate"]).says_nothing();
        assert!(registry.requests().is_empty());
    }
}

/// As `openssl s_client -connect` shows it, without its authority.
#[test]
fn a_servers_own_certificate_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let here = ["127.0.0.1"];
    let shown = authority.identity(&here);
    let (expired, elsewhere) = (authority.expired(&here), authority.identity(&["elsewhere.test"]));
    for (shown, named, is_trusted) in [
        (&shown, &shown, true),
        (&shown, &authority.identity(&here), false),
        (&shown, &elsewhere, false),
        (&expired, &expired, false),
        (&elsewhere, &elsewhere, false),
    ] {
        let registry = Registry::start_tls(shown.server());
        registry.push("demo", "latest", &image());
        let puller = Puller::new();
        let (cert, _) = named.write(&puller.home(), "named");
        let pulled = puller.pull(registry.name("demo")).arg("--ca-cert").arg(cert).run();
        if is_trusted {
            pulled.quietly().gets_exactly(&image());
        } else {
            pulled.fails(&["certificate"]).says_nothing();
            assert!(registry.requests().is_empty());
        }
    }
}

#[test]
fn a_client_shows_its_certificate_when_asked() {
    let authority = Authority::new();
    let registry = Registry::start_tls(authority.server_for_known_clients());
    registry.push("demo", "latest", &image());
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    let (certificate, key) = authority.identity(&["me"]).write(&puller.home(), "me");
    let pull = || puller.pull(registry.name("demo")).arg("--ca-cert").arg(&ca);
    pull().arg("--cert").arg(&certificate).arg("--key").arg(&key).run().gets(&image());
    pull().run().fails(&["certificate|tls|handshake|alert"]).says_nothing();
    let (stranger, key) = Authority::new().identity(&["me"]).write(&puller.home(), "stranger");
    pull()
        .arg("--cert")
        .arg(stranger)
        .arg("--key")
        .arg(key)
        .run()
        .fails(&["certificate|tls|alert|decrypt"])
        .says_nothing();
}

#[test]
fn files_of_certificates_that_are_none_are_named() {
    let puller = Puller::new();
    let empty = puller.file("empty.pem", "no PEM here");
    for flag in ["--ca-cert"] {
        for path in [&empty, &puller.path("nosuch.pem")] {
            let name = path.file_name().unwrap().to_str().unwrap();
            puller.pull("127.0.0.1:1/demo").arg(flag).arg(path).run().fails(&[name]).says_nothing();
        }
    }
    let (certificate, _) = Authority::new().identity(&["me"]).write(&puller.home(), "me");
    let pull = puller.pull("127.0.0.1:1/demo").arg("--cert").arg(certificate).arg("--key").arg(&empty);
    pull.run().fails(&["empty.pem"]).says_nothing();
}

#[test]
fn certs_d_of_docker_and_of_containers_are_read() {
    let authority = Authority::new();
    let identity = authority.identity(&["me"]);
    for below in ["/etc/docker/certs.d", "/etc/containers/certs.d"] {
        let registry = Registry::start_tls(authority.server_for_known_clients());
        registry.push("demo", "latest", &image());
        let directory = CertsD::new(below, &registry.host());
        directory.put("ca.crt", &authority.pem());
        directory.put("client.cert", &identity.certificate);
        directory.put("client.key", &identity.key);
        Puller::new().pull(registry.name("demo")).run().quietly().gets(&image());
    }
}

#[test]
fn authorities_of_certs_d_that_are_none_are_passed_over() {
    let authority = Authority::new();
    let registry = secure(&authority);
    let directory = CertsD::new("/etc/docker/certs.d", &registry.host());
    directory.put("0-empty.crt", "");
    directory.put("1-text.crt", "no PEM here");
    directory.put("2-ca.crt", &authority.pem());
    let puller = Puller::new();
    let pulled = puller.pull(registry.name("demo")).run().gets(&image());
    pulled.warns("0-empty.crt: holds no PEM certificate").warns("1-text.crt: holds no PEM certificate");
}

#[test]
fn certs_d_of_another_host_does_not_count() {
    let authority = Authority::new();
    let registry = secure(&authority);
    let directory = CertsD::new("/etc/docker/certs.d", &format!("127.0.0.1:{}0", registry.port()));
    directory.put("ca.crt", &authority.pem());
    Puller::new().pull(registry.name("demo")).run().fails(&["certificate"]).says_nothing();
}

#[test]
fn plain_http_will_do_on_loopback() {
    let registry = Registry::start();
    registry.push("demo", "latest", &image());
    for host in ["127.0.0.1", "localhost"] {
        Puller::new().pull(format!("{host}:{}/demo", registry.port())).run().quietly().gets(&image());
    }
    for elsewhere in [Registry::start_elsewhere(), Registry::start_ipv6()] {
        elsewhere.push("demo", "latest", &image());
        Puller::new().pull(elsewhere.name("demo")).run().quietly().gets(&image());
    }
}

#[test]
fn plain_http_elsewhere_needs_the_flag() {
    let registry = Registry::start();
    registry.push("demo", "latest", &image());
    let proxy = Proxy::to(&registry.host());
    let puller = Puller::new();
    let pull = || {
        let pull = puller.pull("registry.test:5000/demo").retries(0);
        pull.env("http_proxy", proxy.url()).env("https_proxy", proxy.url())
    };
    pull().run().fails(&["registry.test:5000"]).says_nothing();
    assert!(proxy.requests().iter().all(|request| request.method == "CONNECT"), "it spoke plain HTTP");
    pull().arg("--tls-no-verify").run().fails(&["registry.test:5000"]).says_nothing();
    assert!(proxy.requests().iter().all(|request| request.method == "CONNECT"), "it spoke plain HTTP");
    pull().arg("--insecure").run().gets(&image());
    assert_eq!(proxy.requests().last().unwrap().method, "GET");
}

/// As on a machine without the package `ca-certificates`.
#[test]
fn only_https_needs_the_authorities_of_the_system() {
    let authority = Authority::new();
    let (encrypted, plain) = (secure(&authority), Registry::start());
    plain.push("demo", "latest", &image());
    let proxy = Proxy::to(&plain.host());
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    let pull = |name: &str| puller.pull(name).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere");
    pull(&plain.name("demo")).run().quietly().gets_exactly(&image());
    let elsewhere = pull("registry.test:5000/demo").arg("--insecure");
    elsewhere.env("http_proxy", proxy.url()).env("https_proxy", proxy.url()).run().gets(&image());
    let lacking = ["No CA certificates", "install ca-certificates", "--ca-cert"];
    pull(&encrypted.name("demo")).run().fails(&lacking).says_nothing();
    assert!(encrypted.requests().is_empty());
    pull(&encrypted.name("demo")).arg("--ca-cert").arg(ca).run().quietly().gets(&image());
}

#[test]
fn a_redirect_does_not_lead_to_plain_http_elsewhere() {
    let authority = Authority::new();
    let registry = secure(&authority);
    let plain = Registry::start();
    plain.serve("/layer", "application/octet-stream", &*image().layers[0].bytes);
    registry.when(get(&*image().layers[0].digest), |_| Reply::redirect(307, "http://bucket.test/layer?sig=SECRET"));
    let proxy = Proxy::to(&plain.host());
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    let pull = puller.pull(registry.name("demo")).arg("--ca-cert").arg(ca);
    pull.env("http_proxy", proxy.url()).run().fails(&["bucket.test", "HTTP"]);
    assert!(proxy.requests().is_empty());
}

#[test]
fn a_certificate_error_elsewhere_is_no_reason_for_plain_http() {
    let registry = secure(&Authority::new());
    let proxy = Proxy::to(&registry.host());
    let puller = Puller::new();
    let pull = puller.pull("registry.test/demo").arg("--insecure");
    pull.env("http_proxy", proxy.url()).env("https_proxy", proxy.url()).run().fails(&["certificate"]).says_nothing();
    assert!(proxy.requests().iter().all(|request| request.method == "CONNECT"), "it spoke plain HTTP");
}

#[test]
fn https_goes_through_the_proxy_as_a_tunnel() {
    let authority = Authority::new();
    let registry = secure(&authority);
    let proxy = Proxy::to(&registry.host());
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    for variable in ["https_proxy", "HTTPS_PROXY"] {
        fs::remove_dir_all(puller.store()).ok();
        let pull = puller.pull("registry.test/demo").arg("--ca-cert").arg(&ca);
        pull.env(variable, proxy.url()).run().quietly().gets(&image());
    }
    assert!(proxy.requests().iter().all(|request| request.target == "registry.test:443"));
}

#[test]
fn the_password_of_a_proxy_goes_to_the_proxy_alone() {
    let authority = Authority::new();
    let registry = secure(&authority);
    let proxy = Proxy::to(&registry.host());
    let puller = Puller::new();
    let ca = authority.write(&puller.home());
    let url = proxy.url().replace("http://", "http://me:SECRET-proxy@");
    let pull = puller.pull("registry.test/demo").arg("--ca-cert").arg(ca).env("https_proxy", url);
    pull.run().gets(&image());
    let expected = format!("Basic {}", base64("me:SECRET-proxy"));
    assert!(proxy.requests().iter().all(|request| request.header("Proxy-Authorization") == Some(&*expected)));
    assert!(registry.requests().iter().all(|request| request.header("Proxy-Authorization").is_none()));
}

#[test]
fn a_proxy_that_is_not_there_is_an_error_without_its_password() {
    let registry = Registry::start();
    let host = registry.host();
    drop(registry);
    let puller = Puller::new();
    let pull = puller.pull("registry.test/demo").env("https_proxy", format!("http://me:SECRET@{host}"));
    pull.arg("-vv").run().fails_wordily(&["registry.test|proxy"]);
}

#[test]
fn no_proxy_is_obeyed() {
    let registry = Registry::start();
    registry.push("demo", "latest", &image());
    let proxy = Proxy::to(&registry.host());
    let puller = Puller::new();
    let pull = puller.pull(registry.name("demo")).env("http_proxy", proxy.url()).env("no_proxy", "localhost,127.0.0.1");
    pull.run().gets(&image());
    // This machine is never asked of a proxy, so that alone says nothing.
    for (no_proxy, obeyed) in [("other.test, .registry.test", true), ("other.test", false)] {
        let pull = puller.pull("a.registry.test/demo").env("https_proxy", proxy.url()).env("no_proxy", no_proxy);
        pull.retries(0).run().fails(&["a.registry.test"]).says_nothing();
        assert_eq!(proxy.requests().is_empty(), obeyed, "no_proxy={no_proxy}");
    }
}

#[test]
fn a_name_without_a_host_is_docker_hubs() {
    let authority = Authority::new();
    let identity = authority.identity(&["registry-1.docker.io", "auth.docker.io"]);
    let registry = Registry::start_tls(identity.server());
    registry.push("library/demo", "latest", &image());
    let issuer = Issuer::account("user", "SECRET");
    registry.issue(&issuer);
    registry.ask_bearer_at(&issuer, "https://auth.docker.io/token");
    let proxy = Proxy::to(&registry.host());
    for (key, name) in
        [("https://index.docker.io/v1/", "demo"), ("docker.io", "docker.io/demo"), ("docker.io", "docker://demo")]
    {
        let puller = Puller::new();
        let ca = authority.write(&puller.home());
        puller.docker_config(&json!({ "auths": { key: { "auth": base64("user:SECRET") } } }));
        let pull = puller.pull(name).arg("--ca-cert").arg(ca).env("https_proxy", proxy.url());
        let pulled = pull.run().gets(&image());
        assert_eq!(pulled.records()[0]["reference"], "docker.io/library/demo:latest");
    }
}

#[test]
fn a_mirror_is_asked_first() {
    let (origin, mirror) = (Registry::start(), Registry::start_elsewhere());
    for registry in [&origin, &mirror] {
        registry.push("team/demo", "latest", &image());
    }
    let puller = Puller::new();
    puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        origin.host(),
        mirror.host()
    ));
    let pulled = puller.pull(origin.name("team/demo")).run().quietly().gets_exactly(&image());
    assert_eq!(pulled.records()[0]["reference"], origin.name("team/demo:latest"), "named as it was asked for");
    assert!(origin.requests().is_empty());
}

#[test]
fn what_a_mirror_does_not_have_comes_from_the_next_or_the_origin() {
    let (origin, mirror) = (Registry::start(), Registry::start_elsewhere());
    let gone = Registry::start();
    let host = gone.host();
    drop(gone);
    origin.push("demo", "latest", &image());
    let puller = Puller::new();
    puller.registries_conf(&format!(
        "[[registry]]\nprefix = \"{0}\"\nlocation = \"{0}\"\n[[registry.mirror]]\nlocation = \"{host}\"\n\
         [[registry.mirror]]\nlocation = \"{1}\"\n",
        origin.host(),
        mirror.host()
    ));
    puller.pull(origin.name("demo")).run().gets(&image());
    assert!(!mirror.requests().is_empty());
}

#[test]
fn a_blob_that_a_mirror_spoils_comes_from_the_origin() {
    let (origin, mirror) = (Registry::start(), Registry::start_elsewhere());
    for registry in [&origin, &mirror] {
        registry.push("demo", "latest", &image());
    }
    mirror.when(get(&*image().layers[0].digest), |_| Reply::error(404, "BLOB_UNKNOWN", "pruned"));
    let puller = Puller::new();
    puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        origin.host(),
        mirror.host()
    ));
    puller.pull(origin.name("demo")).run().gets(&image());
}

#[test]
fn a_location_leads_elsewhere_and_the_longest_prefix_counts() {
    let real = Registry::start();
    real.push("archive/tools/demo", "latest", &image());
    let puller = Puller::new();
    puller.registries_conf(&format!(
        "unqualified-search-registries = [\"docker.io\"]\n\
         [[registry]]\nprefix = \"old.test\"\nlocation = \"127.0.0.1:1\"\n\
         [[registry]]\nprefix = \"old.test/team\"\nlocation = \"{0}/archive\"\ninsecure = true\n\
         [[registry]]\nprefix = \"old.test/te\"\nlocation = \"127.0.0.1:2\"\n",
        real.host()
    ));
    puller.pull("old.test/team/tools/demo").run().gets(&image());
    puller.registries_conf(&format!(
        "[[registry]]\nprefix = \"*.old.test\"\nlocation = \"{}/archive/tools\"\n",
        real.host()
    ));
    puller.pull("any.old.test/demo").run().gets(&image());
}

#[test]
fn a_blocked_registry_is_not_asked() {
    let registry = Registry::start();
    registry.push("demo", "latest", &image());
    let puller = Puller::new();
    puller.registries_conf(&format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", registry.host()));
    puller.pull(registry.name("demo")).run().fails(&["registries.conf blocks"]).says_nothing();
    assert!(registry.requests().is_empty());
}

#[test]
fn a_mirror_does_not_get_the_origins_password() {
    let (origin, mirror) = (Registry::start(), Registry::start_elsewhere());
    origin.push("demo", "latest", &image());
    origin.ask_basic("user", "SECRET");
    mirror.ask_basic("user", "SECRET");
    let puller = Puller::new();
    puller.docker_config(&json!({ "auths": { origin.host(): { "auth": base64("user:SECRET") } } }));
    puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        origin.host(),
        mirror.host()
    ));
    puller.pull(origin.name("demo")).run().gets(&image());
    puller.docker_config(&json!({}));
    fs::remove_dir_all(puller.store()).unwrap();
    let pull = puller.pull(origin.name("demo")).args(["--username", "user", "--password-stdin"]).stdin("SECRET");
    pull.run().gets(&image());
    assert!(mirror.requests().len() > 1);
    assert!(mirror.requests().iter().all(|request| request.header("Authorization").is_none()));
}

#[test]
fn a_mirror_for_digests_alone_is_not_asked_for_tags() {
    let (origin, mirror) = (Registry::start(), Registry::start_elsewhere());
    for registry in [&origin, &mirror] {
        registry.push("demo", "latest", &image());
    }
    let puller = Puller::new();
    puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"{}\"\n",
        origin.host(),
        mirror.host()
    ));
    puller.pull(origin.name("demo")).run().gets(&image());
    assert!(mirror.asked(any("/manifests/latest")).is_empty());
    let other = Puller::new();
    other.registries_conf(&fs::read_to_string(puller.path("registries.conf")).unwrap());
    origin.forget();
    other.pull(origin.name(format!("demo@{}", image().root().digest))).run().gets(&image());
    assert!(origin.requests().is_empty());
}

#[test]
fn a_mirror_cannot_pass_off_another_image_for_a_digest() {
    let (origin, mirror) = (Registry::start(), Registry::start_elsewhere());
    origin.push("demo", "latest", &image());
    let wrong = Image::small("wrong");
    mirror.push("demo", "latest", &wrong);
    let digest = image().root().digest;
    let bytes = wrong.root().bytes;
    mirror.serve(&format!("/v2/demo/manifests/{digest}"), "application/json", bytes);
    let puller = Puller::new();
    puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        origin.host(),
        mirror.host()
    ));
    let pulled = puller.pull(origin.name(format!("demo@{digest}"))).run();
    if pulled.ran.status.success() {
        pulled.gets_exactly(&image());
    } else {
        pulled.fails(&["digest|sha256"]).says_nothing();
    }
}

#[test]
fn a_broken_registries_conf_is_named() {
    let puller = Puller::new();
    puller.registries_conf("[[registry\n");
    puller.pull("127.0.0.1:1/demo").run().fails(&["registries.conf"]).says_nothing();
}

/// What cannot be read might block the registry: it is not passed over.
#[test]
fn a_registries_conf_that_cannot_be_read_is_an_error() {
    let registry = Registry::start();
    registry.push("demo", "latest", &image());
    let puller = Puller::new();
    let pull = || puller.pull(registry.name("demo"));
    let missing = puller.path("nosuch.conf");
    pull().env("CONTAINERS_REGISTRIES_CONF", &missing).run().fails(&["nosuch.conf", "no such file"]).says_nothing();
    let blocks = format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", registry.host());
    puller.registries_conf(&format!("{}\n{blocks}", "#".repeat(4 << 20)));
    pull().run().fails(&["registries.conf", "longer than"]).says_nothing();
    fs::remove_file(puller.path("registries.conf")).unwrap();
    fs::create_dir(puller.path("registries.conf")).unwrap();
    pull().run().fails(&["registries.conf", "directory"]).says_nothing();
    assert!(registry.requests().is_empty());
}
