//! What a server repeats of a secret is not told (R3).

use serde_json::json;

use super::one;
use crate::support::registry::{Image, Issuer, Registry, Reply, Request, any, base64, base64_decode, get};

const USER: &str = "user";
const PASSWORD: &str = "SECRET-pass word/SECRET";

/// The password that a request shows.
fn shown(request: &Request) -> String {
    let basic = request.header("Authorization").and_then(|value| value.strip_prefix("Basic ")).unwrap_or_default();
    let pair = String::from_utf8(base64_decode(basic).unwrap_or_default()).unwrap_or_default();
    pair.split_once(':').map_or("-", |(_, password)| password).to_owned()
}

/// Pulls from a registry that answers whoever shows a password with `echo` of it; it must fail, and not tell it. That every
/// pull is searched for secrets the support sees to.
#[track_caller]
fn is_silent(part: &str, echo: impl Fn(&str, Reply) -> Reply + Send + 'static) {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    registry.when_asked(any(part), move |request, reply| echo(&shown(request), reply));
    puller.docker_config(&json!({ "auths": { registry.host(): { "auth": base64(format!("{USER}:{PASSWORD}")) } } }));
    puller.pull(registry.name("demo")).arg("-vv").retries(0).run().fails_wordily(&[]);
    let pull = puller.pull(registry.name("demo")).args(["--username", USER, "--password-stdin"]).stdin(PASSWORD);
    pull.retries(0).run().fails_wordily(&[]);
}

#[test]
fn a_redirect_that_repeats_the_password_does_not_show_it() {
    is_silent("/manifests/", |password, _| Reply::redirect(302, &format!("/leak/{password}/x")));
    is_silent("/manifests/", |password, _| Reply::redirect(302, &format!("/leak/{}/x", password.replace('/', "%2F"))));
    is_silent("/manifests/", |password, _| Reply::redirect(302, &format!("/leak/{}", base64(format!("x{password}y")))));
    is_silent("/manifests/", |_, _| Reply::redirect(302, "http://SECRET.invalid/x"));
    is_silent("/manifests/", |password, _| Reply::redirect(302, &format!("{password}:x")));
}

#[test]
fn a_document_that_repeats_the_password_does_not_show_it() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    for document in [
        json!({ "schemaVersion": 2, "mediaType": "ECHO" }),
        json!({ "schemaVersion": 2, "mediaType": format!("{}ECHO", "x".repeat(85)) }),
        json!({ "schemaVersion": 2, "mediaType": format!("{}ECHO", "x".repeat(93)) }),
        json!({ "artifactType": "ECHO", "config": { "mediaType": "ECHO", "digest": zeros, "size": 2 }, "layers": [] }),
        json!({ "manifests": [{ "digest": zeros, "size": 2, "platform": { "os": "ECHO", "architecture": "ECHO" } }] }),
        json!({ "manifests": [{ "digest": "ECHO", "size": 2 }] }),
    ] {
        let (text, (_, registry, puller)) = (document.to_string(), one());
        registry.ask_basic(USER, PASSWORD);
        registry.when_asked(any("/manifests/"), move |request, _| {
            Reply::new(200, text.replace("ECHO", &shown(request)).into_bytes())
        });
        let auth = json!({ "auth": base64(format!("{USER}:{PASSWORD}")) });
        puller.docker_config(&json!({ "auths": { registry.host(): auth } }));
        // What came is kept under its digest, as it came: of these pulls only the messages are searched.
        let ran = puller.pull(registry.name("demo")).arg("-vv").args(["--retries", "0"]).run_bare();
        assert_eq!(ran.status.code(), Some(1), "{}", ran.report());
        assert!(!ran.stderr.to_uppercase().contains("SECRET"), "{}", ran.report());
    }
}

/// A digest is what the server says it is, so it may be the password in digits.
#[test]
fn a_digest_that_repeats_the_password_is_not_shown_as_progress() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    registry.when_asked(any("/manifests/"), |request, _| {
        let digits: String = shown(request).bytes().map(|byte| format!("{byte:02x}")).collect();
        let layer = json!({ "digest": format!("sha256:{digits:0<64}"), "size": 2, "mediaType": "x.tar" });
        let config = json!({ "digest": layer["digest"], "size": 2, "mediaType": "" });
        Reply::new(200, json!({ "config": config, "layers": [layer] }).to_string().into_bytes())
    });
    let auth = json!({ "auth": base64(format!("{USER}:{PASSWORD}")) });
    puller.docker_config(&json!({ "auths": { registry.host(): auth } }));
    let ran = puller.pull(registry.name("demo")).args(["--progress", "plain", "-vv", "--retries", "0"]).run_bare();
    assert!(ran.stderr.contains("config ***"), "{}", ran.report());
    assert!(!ran.stderr.contains("5345"), "{}", ran.report());
}

#[test]
fn a_header_that_repeats_the_password_does_not_show_it() {
    is_silent("/manifests/", |password, reply| reply.body(*b"no JSON").header("Content-Encoding", password));
    is_silent("/blobs/", |password, reply| reply.flipped(0).header("Content-Encoding", &format!("a-{password}")));
    is_silent("/manifests/", |password, _| {
        let challenge = format!("Bearer realm=\"::{password}\",service=\"x\"");
        Reply::error(401, "UNAUTHORIZED", "no").header("WWW-Authenticate", &challenge)
    });
}

#[test]
fn an_error_that_repeats_the_password_does_not_show_it() {
    for spoil in [
        str::to_owned,
        str::to_ascii_uppercase,
        |password: &str| format!("{}{password}", "x".repeat(385)),
        |password: &str| base64(format!("{USER}:{password}")),
        |password: &str| base64(password),
        |password: &str| base64(format!("me:{password}")),
        |password: &str| password.replace('/', "&#47;").replace('-', "&#x2d;").replace(' ', "+"),
        |password: &str| password.replace('/', "%252f").replace(' ', "%2520"),
        |password: &str| password.bytes().map(|byte| format!("{byte:02X}")).collect(),
        |password: &str| password.split_at(7).0.to_owned() + "\n" + password.split_at(7).1,
        |password: &str| format!("{}{password}", "x".repeat(394)),
        |password: &str| password.replace('/', "&sol;").replace('-', "&#x0002d;").replace(' ', "&nbsp;"),
        |password: &str| password.replace('S', "\\123").replace('/', "\\u{2f}").replace('-', "\\U0000002d"),
    ] {
        is_silent("/manifests/", move |password, _| {
            Reply::error(403, "DENIED", &format!("not with {}", spoil(password)))
        });
    }
}

#[test]
fn a_token_that_comes_back_is_not_shown() {
    let (_, registry, puller) = one();
    registry.ask_bearer(&Issuer::account(USER, PASSWORD));
    puller.docker_config(&json!({ "auths": { registry.host(): { "auth": base64(format!("{USER}:{PASSWORD}")) } } }));
    registry.when_asked(any("/manifests/"), |request, _| {
        let token = request.header("Authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        Reply::redirect(302, &format!("/{token}/{}", base64(&token)))
    });
    puller.pull(registry.name("demo")).arg("-vv").retries(0).run().fails_wordily(&["404"]);
}

/// As a script writes it that has tried other tools.
#[test]
fn a_password_in_an_images_name_is_not_repeated() {
    let puller = crate::support::registry::Puller::new();
    for scheme in ["", "https://", "docker://", "http://", "dir:", "oci://"] {
        for userinfo in ["user:SECRET", "user:SECRET@word:9", "user:SECRET%20", "SECRET-token-as-user"] {
            for place in ["registry.test/demo:1", "registry.test", "localhost:5000", "registry:5000/demo"] {
                let host = place.split(['/', ':']).next().unwrap();
                puller.pull(format!("{scheme}{userinfo}@{place}")).run().fails(&[host]).says_nothing();
            }
        }
    }
    let pull = puller.pull("demo").args(["--username", "user", "--password-stdin=SECRET"]);
    pull.run().ran.fails_with(2, "'***' for '--password-stdin'");
    // What is none is shown.
    puller.pull("wonderful-name:latest-tag@sha256:12").run().fails(&["wonderful-name:latest-tag@sha256:12"]);
}

/// As a script writes it that has tried other forms.
#[test]
fn a_password_in_the_name_of_a_registry_is_not_repeated() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let key = format!("https://user:SECRET-word@{}", registry.host());
    for config in [
        json!({ "auths": { &key: 7 } }),
        json!({ "credHelpers": { &key: 7 } }),
        json!({ "auths": { &key: { "auth": "??" } } }),
        json!({ "credHelpers": { registry.host(): "none" }, "auths": { &key: {} } }),
    ] {
        puller.docker_config(&config);
        puller.pull(registry.name("demo")).run().fails_wordily(&["no credentials"]);
    }
    puller.docker_config(&json!({}));
    for toml in [
        format!("[[registry]]\nlocation = \"{key}\""),
        format!("[[registry]]\nprefix = \"{key}/demo\""),
        format!("[[registry]]\nlocation = \"{0}\"\n[[registry.mirror]]\nlocation = \"{key}/demo\"", registry.host()),
    ] {
        puller.registries_conf(&toml);
        puller.pull(registry.name("demo")).run().fails(&["registries.conf"]).says_nothing();
    }
}

/// What is left of it is too short to be known for one anywhere else.
#[test]
fn an_error_that_breaks_off_in_the_password_does_not_show_it() {
    is_silent("/manifests/", |password, _| {
        let text = format!("not with {password}");
        Reply::new(403, text.into_bytes()).cut_at("not with SECRET".len() as u64)
    });
    is_silent("/manifests/", |password, _| {
        Reply::new(403, format!("{}{password}", " ".repeat((64 << 10) - "SECRET".len())).into_bytes())
    });
}

/// A proxy sees its own credentials, and may stand in for the registry.
#[test]
fn a_proxy_that_repeats_its_password_does_not_show_it() {
    for userinfo in
        ["user:SECRET-pass-word", "user:%53ECRET%2Dp%40ss%20word", "SECRET-token-as-user", "%53ECRET-token-as-user:"]
    {
        for spell in [
            |basic: &str| format!("got {basic}"),
            |basic: &str| {
                let sent = base64_decode(basic.trim_start_matches("Basic ")).unwrap();
                String::from_utf8(sent.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()).unwrap()
            },
            |basic: &str| String::from_utf8(base64_decode(basic.trim_start_matches("Basic ")).unwrap()).unwrap(),
        ] {
            let (_, registry, puller) = one();
            registry.when_asked(any("http://"), move |request, _| {
                Reply::error(403, "DENIED", &spell(request.header("Proxy-Authorization").unwrap_or_default()))
            });
            let proxy = format!("http://{userinfo}@{}", registry.host());
            let pull = puller.pull("registry.test:5000/demo").arg("--insecure").arg("-vv").retries(0);
            let ran = pull.env("http_proxy", &proxy).env("https_proxy", &proxy).run().fails_wordily(&["DENIED"]);
            assert!(!ran.ran.stderr.contains("SECRET-"), "{}", ran.ran.report());
        }
    }
}

/// Who may read the blob of a registry whose blobs stand elsewhere.
#[test]
fn a_signature_that_is_repeated_is_not_shown() {
    let (image, registry, puller) = one();
    let elsewhere = Registry::start_elsewhere();
    let to = elsewhere.url("/layer?X-Amz-Signature=SECRET%2Fsignature%3D&SECRET-token&n=1&kind=short");
    registry.when(get(format!("/blobs/{}", image.layers[0].digest)), move |_| Reply::redirect(307, &to));
    elsewhere.when_asked(get("/layer"), |request, _| {
        let values = ["X-Amz-Signature", "kind"].map(|key| request.query(key).join(""));
        Reply::error(403, "SignatureDoesNotMatch", &format!("{} in {}, {values:?}", base64(&values[0]), request.target))
    });
    puller.pull(registry.name("demo")).arg("-v").run().fails_wordily(&["SignatureDoesNotMatch", "short"]);
}

#[test]
fn what_is_no_secret_is_shown() {
    let image = Image::small("x");
    let registry = Registry::start();
    registry.push("team/demo", "latest", &image);
    registry.ask_basic(USER, PASSWORD);
    let puller = crate::support::registry::Puller::new();
    puller.docker_config(&json!({ "auths": { registry.host(): { "auth": base64(format!("{USER}:{PASSWORD}")) } } }));
    registry.when(get("/blobs/"), |_| Reply::error(404, "BLOB_UNKNOWN", "user word pass"));
    puller.pull(registry.name("team/demo")).run().fails(&["user word pass", "team/demo", &registry.host()]);
}
