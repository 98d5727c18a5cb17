//! Challenges, tokens and where credentials may go (R2, R3).

use serde_json::json;

use crate::support::Filter;
use crate::support::registry::{
    Image, Issuer, Layer, Proxy, Puller, Registry, Reply, Request, any, assert_whole, base64, get, post,
};

const USER: &str = "user";
const PASSWORD: &str = "SECRET-password";

/// A registry with one image `team/demo`, and a puller.
fn one() -> (Image, Registry, Puller) {
    let image = Image::of([Layer::noise(1, 50_000), Layer::file("a", "b")]);
    let registry = Registry::start();
    registry.push("team/demo", "latest", &image);
    (image, registry, Puller::new())
}

/// A docker config.json that knows one account at `host`.
fn auths(host: &str) -> serde_json::Value {
    json!({ "auths": { host: { "auth": base64(format!("{USER}:{PASSWORD}")) } } })
}

fn authorization(request: &Request) -> Option<&str> {
    request.header("Authorization")
}

/// Fails when anything of the kind of a credential reached this server.
#[track_caller]
fn assert_no_credentials(server: &Registry) {
    for request in server.requests() {
        assert_eq!(authorization(&request), None, "{} {}", request.method, request.target);
        assert_eq!(request.header("Cookie"), None);
        assert!(request.headers.iter().all(|(_, value)| !value.contains("SECRET")), "{:?}", request.headers);
        assert!(!request.body.contains("SECRET"), "{}", request.body);
    }
}

#[test]
fn an_anonymous_token_is_fetched_with_the_scope_of_the_challenge() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    puller.pull(registry.name("team/demo")).run().quietly().gets_exactly(&image);
    let asked = registry.asked(any("/token"));
    assert_eq!(asked[0].query("scope"), ["repository:team/demo:pull"]);
    assert_eq!(asked[0].query("service"), ["registry.test"]);
    assert_eq!(authorization(&asked[0]), None);
}

#[test]
fn a_token_serves_the_whole_pull() {
    let (image, registry, puller) = one();
    let issuer = Issuer::anonymous();
    registry.ask_bearer(&issuer);
    puller.pull(registry.name("team/demo")).run().gets(&image);
    assert_eq!(issuer.issued(), 1);
}

#[test]
fn an_unusual_scope_is_asked_for_as_it_is() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous().scope("repository:user/image with space:pull,push a+b"));
    puller.pull(registry.name("team/demo")).run().gets(&image);
    assert_eq!(
        registry.asked(get("/token"))[0].query("scope").join(" "),
        "repository:user/image with space:pull,push a+b"
    );
}

#[test]
fn the_token_may_be_called_access_token() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous().field("access_token"));
    puller.pull(registry.name("team/demo")).run().gets(&image);
}

#[test]
fn a_realm_may_have_a_query_of_its_own() {
    let (image, registry, puller) = one();
    let issuer = Issuer::anonymous();
    registry.issue(&issuer);
    registry.ask_bearer_at(&issuer, registry.url("/token?tenant=blue"));
    puller.pull(registry.name("team/demo")).run().gets(&image);
    let asked = registry.asked(get("/token"));
    assert_eq!((asked[0].query("tenant"), asked[0].query("scope").len()), (vec!["blue".to_owned()], 1));
}

#[test]
fn an_expired_token_is_renewed() {
    for status in [401, 400] {
        let (image, registry, puller) = one();
        let issuer = Issuer::anonymous().good_for(2).expired_status(status);
        registry.ask_bearer(&issuer);
        puller.pull(registry.name("team/demo")).args(["-j", "1"]).retries(0).run().gets(&image);
        assert!(issuer.issued() >= 2, "status {status}");
    }
}

#[test]
fn a_token_that_expires_during_a_blob_is_renewed_and_the_blob_resumed() {
    let (image, registry, puller) = one();
    let issuer = Issuer::anonymous().good_for(3);
    registry.ask_bearer(&issuer);
    registry.when(get(&*image.layers[0].digest).times(2), |reply| reply.cut_at(20_000));
    puller.pull(registry.name("team/demo")).args(["-j", "1"]).retries(3).run().gets(&image);
    assert!(registry.asked(get(&*image.layers[0].digest)).iter().any(|request| request.header("Range").is_some()));
}

#[test]
fn a_token_that_is_never_accepted_is_not_renewed_for_ever() {
    for status in [401, 400] {
        let (_, registry, puller) = one();
        let issuer = Issuer::anonymous().good_for(0).expired_status(status);
        registry.ask_bearer(&issuer);
        puller.pull(registry.name("team/demo")).retries(3).run().fails(&["401|400|auth|denied|token"]).says_nothing();
        assert!(issuer.issued() <= 3, "{} tokens", issuer.issued());
    }
}

#[test]
fn a_bad_request_that_is_no_expiry_is_not_taken_for_one() {
    let (_, registry, puller) = one();
    let issuer = Issuer::anonymous();
    registry.ask_bearer(&issuer);
    registry.when(any("/manifests/"), |_| Reply::error(400, "NAME_INVALID", "no such name is possible"));
    puller.pull(registry.name("team/demo")).run().fails(&["no such name is possible"]).says_nothing();
    assert_eq!(issuer.issued(), 1);
}

#[test]
fn a_password_from_docker_config_opens_a_basic_door() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    puller.docker_config(&auths(&registry.host()));
    puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
}

#[test]
fn a_password_from_docker_config_gets_a_token() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::account(USER, PASSWORD));
    puller.docker_config(&auths(&registry.host()));
    puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
    let elsewhere = registry.asked(any("/v2/"));
    assert!(elsewhere.iter().all(|request| authorization(request).is_none_or(|value| value.starts_with("Bearer "))));
}

#[test]
fn the_key_in_docker_config_may_be_a_url() {
    for key in ["http://HOST", "https://HOST/v1/", "https://HOST/v2/", "HOST/"] {
        let (image, registry, puller) = one();
        registry.ask_basic(USER, PASSWORD);
        puller.docker_config(&auths(&key.replace("HOST", &registry.host())));
        puller.pull(registry.name("team/demo")).run().gets(&image);
    }
}

#[test]
fn docker_config_may_stand_elsewhere() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    puller.file("elsewhere/config.json", auths(&registry.host()).to_string());
    puller.pull(registry.name("team/demo")).env("DOCKER_CONFIG", puller.path("elsewhere")).run().gets(&image);
}

#[test]
fn an_account_at_another_port_is_another_account() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    puller.docker_config(&auths("127.0.0.1:1"));
    puller.pull(registry.name("team/demo")).run().fails(&["401|unauthorized|auth"]).says_nothing();
    assert_no_credentials(&registry);
}

#[test]
fn without_a_password_it_says_what_to_do() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    puller.pull(registry.name("team/demo")).run().fails(&["login|credentials|password|authfile"]).says_nothing();
}

#[test]
fn a_wrong_password_is_refused_and_not_tried_again_and_again() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, "SECRET-another");
    puller.docker_config(&auths(&registry.host()));
    puller.pull(registry.name("team/demo")).retries(5).run().fails(&["401|unauthorized|auth|credential"]);
    let tried = registry.requests().iter().filter(|request| authorization(request).is_some()).count();
    assert!(tried <= 2, "{tried} attempts lock accounts");
}

#[test]
fn a_wrong_password_at_the_token_server_is_refused_in_its_words() {
    let (_, registry, puller) = one();
    registry.ask_bearer(&Issuer::account(USER, "SECRET-another"));
    puller.docker_config(&auths(&registry.host()));
    puller.pull(registry.name("team/demo")).retries(5).run().fails(&["incorrect username or password"]).says_nothing();
    assert!(registry.asked(any("/token")).len() <= 2);
}

#[test]
fn a_credential_helper_is_asked_for_its_host_alone() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    puller.helper("test", &format!(r#"echo '{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}'"#));
    puller.docker_config(&json!({ "credHelpers": { registry.host(): "test" } }));
    puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
    assert_eq!(puller.helper_log().lines().next(), Some(&*format!("get {}", registry.host())));
    let other = Puller::new();
    other.helper("test", "echo SECRET; exit 1");
    other.docker_config(&json!({ "credHelpers": { "registry.test": "test" } }));
    other.pull(registry.name("team/demo")).run().fails(&["401|unauthorized|auth"]);
    assert_eq!(other.helper_log(), "");
}

#[test]
fn a_credential_store_is_asked() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::account(USER, PASSWORD));
    puller.helper("test", &format!(r#"echo '{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}'"#));
    puller.docker_config(&json!({ "credsStore": "test", "auths": { registry.host(): {} } }));
    puller.pull(registry.name("team/demo")).run().gets(&image);
}

#[test]
fn a_helper_that_knows_nothing_leaves_the_pull_anonymous() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    puller.helper("test", "echo 'credentials not found in native keychain'; exit 1");
    puller.docker_config(&json!({ "credsStore": "test" }));
    puller.pull(registry.name("team/demo")).run().gets(&image);
}

#[test]
fn a_helper_that_fails_does_not_have_its_output_shown() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    for script in ["echo SECRET; echo SECRET >&2; exit 3", "echo 'SECRET is no JSON'", "head -c 70000000 /dev/zero"] {
        puller.helper("test", script);
        puller.docker_config(&json!({ "credHelpers": { registry.host(): "test" } }));
        puller.pull(registry.name("team/demo")).run().fails(&["no credentials"]).warns("docker-credential-test");
    }
}

#[test]
#[ignore = "check-full: a helper has a minute to answer"]
fn a_helper_that_hangs_is_left() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    // In the second case a child of the helper keeps its output open.
    for script in ["exec sleep 100", "sleep 70 & exit 0"] {
        puller.helper("test", script);
        puller.docker_config(&json!({ "credHelpers": { registry.host(): "test" } }));
        puller.pull(registry.name("team/demo")).run().fails(&["no credentials"]).warns("60 s");
    }
}

/// As some programs leave it to those that they start.
#[test]
fn a_helper_is_heard_though_signals_of_children_are_ignored() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let pull = |script: &str| {
        puller.helper("test", script);
        puller.docker_config(&json!({ "credsStore": "test" }));
        let path = format!("{}:{}", puller.path("bin").display(), std::env::var("PATH").unwrap());
        let env = Filter::tool("env").args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_oci-fetch"), "--dir"]);
        let env = env.arg(puller.store()).arg(registry.name("team/demo")).env("HOME", puller.home());
        env.env("PATH", path).env("CONTAINERS_REGISTRIES_CONF", puller.path("registries.conf")).run()
    };
    for script in ["exit 1", "echo 'credentials not found in native keychain'; exit 1", "echo SECRET; exit 1"] {
        let ran = pull(script).fails_with(1, "no credentials");
        assert!(!ran.stderr.contains("SECRET") && !ran.stderr.contains("child"), "{}", ran.report());
    }
    let answer = json!({ "Username": USER, "Secret": PASSWORD });
    pull(&format!("echo '{answer}'")).succeeds().quiet();
    assert_whole(&puller.store());
    assert!(puller.store().join("blobs").join(image.layers[0].digest.replace(':', "/")).is_file());
}

#[test]
fn a_helper_that_is_missing_is_named() {
    let (_, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    puller.docker_config(&json!({ "credHelpers": { registry.host(): "nosuch" } }));
    puller.pull(registry.name("team/demo")).run().fails(&["no credentials"]).warns("docker-credential-nosuch");
}

#[test]
fn an_identity_token_is_exchanged_by_post_and_goes_nowhere_else() {
    let (image, registry, puller) = one();
    let tokens = Registry::start();
    let issuer = Issuer::identity("SECRET-identity");
    tokens.issue(&issuer);
    registry.ask_bearer_at(&issuer, tokens.url("/token"));
    puller.docker_config(&json!({ "auths": { registry.host(): { "identitytoken": "SECRET-identity" } } }));
    puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
    let asked = tokens.asked(post("/token"));
    assert_eq!(asked[0].form("scope"), ["repository:team/demo:pull"]);
    assert_eq!(asked[0].form("service"), ["registry.test"]);
    assert!(registry.requests().iter().all(|request| !request.target.contains("SECRET")));
    assert!(
        registry.requests().iter().filter_map(authorization).all(|value| value.starts_with("Bearer SECRET-token-"))
    );
}

#[test]
fn a_helper_may_give_an_identity_token() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::identity("SECRET-identity"));
    puller.helper("test", r#"echo '{"ServerURL":"x","Username":"<token>","Secret":"SECRET-identity"}'"#);
    puller.docker_config(&json!({ "credsStore": "test" }));
    puller.pull(registry.name("team/demo")).run().gets(&image);
}

#[test]
fn the_most_specific_key_of_podmans_file_wins() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let host = registry.host();
    let wrong = json!({ "auth": base64("user:SECRET-wrong") });
    let right = json!({ "auth": base64(format!("{USER}:{PASSWORD}")) });
    puller.podman_auth(&json!({ "auths": {
        &*host: wrong, format!("{host}/team"): right, format!("{host}/te"): wrong, format!("{host}/team/demos"): wrong,
    } }));
    puller.pull(registry.name("team/demo")).run().gets(&image);
    puller.podman_auth(&json!({ "auths": { &*host: wrong, format!("{host}/team/demo"): right } }));
    puller.pull(registry.name("team/demo:latest")).run().gets(&image);
}

#[test]
fn podmans_file_may_be_named_by_the_environment() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let file = puller.file("auth.json", auths(&registry.host()).to_string());
    puller.pull(registry.name("team/demo")).env("REGISTRY_AUTH_FILE", file).run().gets(&image);
}

#[test]
fn the_authfile_comes_before_the_rest() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let wrong = json!({ "auths": { registry.host(): { "auth": base64("user:SECRET-wrong") } } });
    puller.docker_config(&wrong);
    puller.podman_auth(&wrong);
    let file = puller.file("mine.json", auths(&registry.host()).to_string());
    puller.pull(registry.name("team/demo")).arg("--authfile").arg(file).run().gets(&image);
}

#[test]
fn a_user_name_comes_before_the_authfile() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let wrong = json!({ "auths": { registry.host(): { "auth": base64("user:SECRET-wrong") } } });
    let file = puller.file("mine.json", wrong.to_string());
    for typed in ["SECRET-password\n", "SECRET-password", "SECRET-password\r\n"] {
        let pull = puller.pull(registry.name("team/demo")).args(["--username", USER, "--password-stdin", "--authfile"]);
        pull.arg(&file).stdin(typed).run().gets(&image);
    }
}

#[test]
fn an_authfile_that_is_missing_or_broken_is_named() {
    let (_, registry, puller) = one();
    let pull = || puller.pull(registry.name("team/demo")).arg("--authfile");
    pull().arg(puller.path("nosuch.json")).run().fails(&["nosuch.json"]).says_nothing();
    let broken = puller.file("broken.json", r#"{"auths": {"x": {"auth": "SECRET"#);
    pull().arg(broken).run().fails(&["broken.json"]).says_nothing();
    let auth = json!({ "auths": { registry.host(): { "auth": "SECRET no base64" } } });
    registry.ask_basic(USER, PASSWORD);
    let broken = puller.file("broken.json", auth.to_string());
    pull().arg(broken).run().fails(&["broken.json|auth|login"]).says_nothing();
}

#[test]
fn a_password_with_a_colon_is_a_password() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, "SECRET:with:colons");
    puller.docker_config(&json!({ "auths": { registry.host(): { "auth": base64("user:SECRET:with:colons") } } }));
    puller.pull(registry.name("team/demo")).run().gets(&image);
}

#[test]
fn a_redirect_to_another_host_takes_no_credentials_along() {
    for (elsewhere, what) in [(Registry::start_elsewhere(), "another address"), (Registry::start(), "another port")] {
        for bearer in [true, false] {
            let (image, registry, puller) = one();
            if bearer {
                registry.ask_bearer(&Issuer::account(USER, PASSWORD));
            } else {
                registry.ask_basic(USER, PASSWORD);
            }
            puller.docker_config(&auths(&registry.host()));
            for layer in &image.layers {
                elsewhere.serve(&format!("/{}", layer.digest), "application/octet-stream", &*layer.bytes);
                let to = elsewhere.url(&format!("/{}?X-Signature=SECRET", layer.digest));
                registry.when(get(&*layer.digest), move |_| Reply::redirect(307, &to));
            }
            puller.pull(registry.name("team/demo")).run().gets(&image);
            assert!(!elsewhere.requests().is_empty(), "{what}");
            assert_no_credentials(&elsewhere);
        }
    }
}

#[test]
fn a_manifest_redirected_elsewhere_takes_no_credentials_along() {
    let (image, registry, puller) = one();
    let elsewhere = Registry::start_elsewhere();
    elsewhere.push("team/demo", "latest", &image);
    registry.ask_basic(USER, PASSWORD);
    puller.docker_config(&auths(&registry.host()));
    let to = elsewhere.url("/v2/team/demo/manifests/latest");
    registry.when(any("/manifests/"), move |_| Reply::redirect(307, &to));
    puller.pull(registry.name("team/demo")).run().gets(&image);
    assert_no_credentials(&elsewhere);
}

#[test]
fn a_redirect_there_and_back_does_not_bring_credentials_to_the_middle() {
    let (image, registry, puller) = one();
    let elsewhere = Registry::start_elsewhere();
    registry.ask_basic(USER, PASSWORD);
    puller.docker_config(&auths(&registry.host()));
    let path = format!("/v2/team/demo/blobs/{}", image.layers[0].digest);
    let back = registry.url(&format!("{path}?again"));
    elsewhere.when(any(""), move |_| Reply::redirect(307, &back));
    let there = elsewhere.url("/there");
    registry.when(get(&*path).once(), move |_| Reply::redirect(307, &there));
    // Whether the way back succeeds is open; that the middle learns nothing is not.
    drop(puller.pull(registry.name("team/demo")).run());
    assert!(!elsewhere.requests().is_empty());
    assert_no_credentials(&elsewhere);
}

#[test]
fn a_challenge_from_another_host_gets_no_credentials() {
    let (image, registry, puller) = one();
    let elsewhere = Registry::start_elsewhere();
    elsewhere.ask_basic(USER, PASSWORD);
    registry.ask_basic(USER, PASSWORD);
    puller.docker_config(&auths(&registry.host()));
    let to = elsewhere.url("/layer?sig=SECRET");
    registry.when(get(&*image.layers[0].digest), move |_| Reply::redirect(307, &to));
    puller.pull(registry.name("team/demo")).run().fails(&["401|unauthorized|auth"]);
    assert_no_credentials(&elsewhere);
}

#[test]
fn a_token_server_over_plain_http_off_loopback_gets_no_credentials() {
    let (_, registry, puller) = one();
    let tokens = Registry::start();
    let issuer = Issuer::account(USER, PASSWORD);
    tokens.issue(&issuer);
    registry.ask_bearer_at(&issuer, "http://tokens.test/token");
    let proxy = Proxy::to(&tokens.host());
    puller.docker_config(&auths(&registry.host()));
    let pull = puller.pull(registry.name("team/demo")).env("http_proxy", proxy.url()).env("no_proxy", "127.0.0.1");
    pull.run().fails(&["plain HTTP", "tokens.test", "--insecure"]).says_nothing();
    assert_no_credentials(&tokens);
    assert!(proxy.requests().is_empty());
}

#[test]
fn an_identity_token_does_not_go_to_plain_http_off_loopback_either() {
    let (_, registry, puller) = one();
    let tokens = Registry::start();
    let issuer = Issuer::identity("SECRET-identity");
    tokens.issue(&issuer);
    registry.ask_bearer_at(&issuer, "http://tokens.test/token");
    let proxy = Proxy::to(&tokens.host());
    puller.docker_config(&json!({ "auths": { registry.host(): { "identitytoken": "SECRET-identity" } } }));
    let pull = puller.pull(registry.name("team/demo")).env("http_proxy", proxy.url()).env("no_proxy", "127.0.0.1");
    pull.run().fails(&["http|token|tokens.test|auth"]).says_nothing();
    assert_no_credentials(&tokens);
}

#[test]
fn a_token_server_that_redirects_does_not_pass_credentials_on() {
    let (_, registry, puller) = one();
    let elsewhere = Registry::start_elsewhere();
    let issuer = Issuer::account(USER, PASSWORD);
    elsewhere.issue(&issuer);
    registry.ask_bearer(&issuer);
    puller.docker_config(&auths(&registry.host()));
    let to = elsewhere.url("/token");
    registry.when(any("/token"), move |_| Reply::redirect(307, &to));
    puller.pull(registry.name("team/demo")).run().fails(&["token|auth|401|redirect"]).says_nothing();
    assert_no_credentials(&elsewhere);
}

#[test]
fn a_token_server_that_redirects_does_not_pass_an_identity_token_on() {
    for status in [301, 302, 303, 307, 308] {
        let (_, registry, puller) = one();
        let elsewhere = Registry::start_elsewhere();
        let issuer = Issuer::identity("SECRET-identity");
        elsewhere.issue(&issuer);
        registry.ask_bearer(&issuer);
        puller.docker_config(&json!({ "auths": { registry.host(): { "identitytoken": "SECRET-identity" } } }));
        let to = elsewhere.url("/token");
        registry.when(any("/token"), move |_| Reply::redirect(status, &to));
        puller.pull(registry.name("team/demo")).run().fails(&["token|auth|401|redirect"]).says_nothing();
        assert_no_credentials(&elsewhere);
    }
}

#[test]
fn a_token_servers_answer_is_read_as_go_reads_it() {
    for spelling in [
        r#"{"Token":"$T"}"#,
        r#"{"ACCESS_TOKEN":"$T","expires_in":null}"#,
        r#"{"token":"no","token":"$T","EXPIRES_IN":1.5}"#,
        r#"{"token":null,"access_token":"$T"}"#,
    ] {
        let (image, registry, puller) = one();
        registry.ask_bearer(&Issuer::anonymous());
        registry.when(any("/token"), move |reply| {
            let body: serde_json::Value = serde_json::from_slice(&reply.bytes()).expect("the issuer's answer");
            reply.body(spelling.replace("$T", body["token"].as_str().expect("its token")).into_bytes())
        });
        puller.pull(registry.name("team/demo")).retries(0).run().quietly().gets(&image);
    }
}

#[test]
fn a_token_server_that_answers_nonsense_is_an_error() {
    let huge = format!(r#"{{"token":"{}"}}"#, "SECRET".repeat(4 << 20));
    let answers: [&str; 8] = [
        "",
        "<html>",
        "{}",
        r#"{"token":""}"#,
        r#"{"token":17}"#,
        r#"{"token":"SECRET\r\nX-Injected: yes"}"#,
        r#"{"token":"SECRET\u0000"}"#,
        &huge,
    ];
    for answer in answers {
        let (_, registry, puller) = one();
        registry.ask_bearer(&Issuer::anonymous());
        let answer = answer.as_bytes().to_vec();
        registry.when(any("/token"), move |reply| reply.body(answer.clone()));
        puller.pull(registry.name("team/demo")).run().fails(&["token|control characters"]).says_nothing();
        assert!(registry.requests().iter().all(|request| request.header("X-Injected").is_none()));
    }
}

#[test]
fn a_token_server_in_trouble_is_asked_again() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    registry.when(any("/token").once(), |_| Reply::new(503, *b"busy").header("Retry-After", "0"));
    puller.pull(registry.name("team/demo")).run().gets(&image);
}

#[test]
fn challenges_come_in_many_spellings() {
    let spellings = [
        r#"bearer Realm="REALM",Service="registry.test",Scope="repository:team/demo:pull""#,
        r#"Bearer realm="REALM", service="registry.test", scope="repository:team/demo:pull", error="x,y""#,
        r#"Basic realm="old", Bearer realm="REALM",service="registry.test",scope="repository:team/demo:pull""#,
        r#"Negotiate, Bearer realm="REALM",service=registry.test,scope="repository:team/demo:pull""#,
    ];
    for spelling in spellings {
        let (image, registry, puller) = one();
        let issuer = Issuer::anonymous();
        registry.issue(&issuer);
        let challenge = spelling.replace("REALM", &registry.url("/token"));
        registry.when_asked(any("/v2/"), move |request, reply| match request.header("Authorization") {
            Some(value) if value.starts_with("Bearer SECRET-token-") => reply,
            _ => Reply::error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", &challenge),
        });
        puller.pull(registry.name("team/demo")).run().gets(&image);
        assert_eq!(registry.asked(get("/token"))[0].query("scope"), ["repository:team/demo:pull"], "{spelling}");
    }
}

#[test]
fn a_challenge_that_makes_no_sense_is_an_error() {
    for challenge in
        ["", "Bearer", "Bearer realm=", "Bearer realm=\"::\"", "Bearer realm=\"file:///etc/passwd\"", "\u{ff}"]
    {
        let (_, registry, puller) = one();
        registry
            .when(any("/v2/"), move |_| Reply::error(401, "UNAUTHORIZED", "no").header("WWW-Authenticate", challenge));
        puller.pull(registry.name("team/demo")).run().fails(&["401|auth|challenge|realm|token"]).says_nothing();
    }
}

#[test]
fn nothing_in_verbose_messages_is_a_secret() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::account(USER, PASSWORD).good_for(2));
    puller.docker_config(&auths(&registry.host()));
    registry.when(get("/blobs/").times(2), |_| Reply::new(500, *b""));
    let pull = puller.pull(registry.name("team/demo")).arg("-vv").env("RUST_LOG", "trace").retries(3);
    pull.run().gets(&image);
    puller.pull(registry.name("team/nosuch")).env("RUST_LOG", "trace").run().fails_wordily(&["team/nosuch"]);
}

#[test]
fn a_server_that_echoes_the_token_in_its_error_is_not_quoted_with_it() {
    let (_, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    registry.when_asked(any("/manifests/"), |request, _| {
        let shown = request.header("Authorization").unwrap_or_default();
        Reply::error(403, "DENIED", &format!("not with {shown}"))
    });
    puller.pull(registry.name("team/demo")).run().fails(&["403|denied"]).says_nothing();
}

/// A registry that hides `team/demo` from the anonymous by this status: `/v2/` alone asks who is there.
fn hidden(status: u16, ask: impl Fn(&Registry)) -> (Image, Registry, Puller) {
    let (image, registry, puller) = one();
    ask(&registry);
    registry.hide_from_the_anonymous(status);
    (image, registry, puller)
}

#[test]
fn credentials_are_shown_where_a_repository_is_hidden_from_the_anonymous() {
    for status in [404, 403, 400] {
        let (image, registry, puller) = hidden(status, |registry| registry.ask_basic(USER, PASSWORD));
        puller.docker_config(&auths(&registry.host()));
        puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
        let (image, registry, puller) = hidden(status, |registry| registry.ask_basic(USER, PASSWORD));
        let pull = puller.pull(registry.name("team/demo")).args(["--username", USER, "--password-stdin"]);
        pull.stdin(PASSWORD).run().quietly().gets(&image);
        let issuer = Issuer::account(USER, PASSWORD).scope("registry:catalog:*");
        let (image, registry, puller) = hidden(status, |registry| registry.ask_bearer(&issuer));
        puller.docker_config(&auths(&registry.host()));
        puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
        assert_eq!(registry.asked(any("/token"))[0].query("scope"), ["repository:team/demo:pull"]);
        assert_eq!(issuer.issued(), 1);
    }
}

/// A registry's root may redirect, for people; whoever is there has no say in where the password goes.
#[test]
fn credentials_are_not_shown_to_whom_another_host_names() {
    let (image, registry, puller) = one();
    registry.ask_basic(USER, PASSWORD);
    let elsewhere = Registry::start_elsewhere();
    let issuer = Issuer::account(USER, PASSWORD);
    elsewhere.issue(&issuer);
    let challenge = format!("Bearer realm=\"{}\",service=\"x\"", elsewhere.url("/token"));
    elsewhere.open("/", Reply::error(401, "UNAUTHORIZED", "no").header("WWW-Authenticate", &challenge));
    registry.open("/v2/", Reply::redirect(302, &elsewhere.url("/")));
    puller.docker_config(&auths(&registry.host()));
    puller.pull(registry.name("team/demo")).retries(0).run().quietly().gets(&image);
    assert!(elsewhere.asked(any("/token")).is_empty() && issuer.issued() == 0, "the password went elsewhere");
}

#[test]
fn who_has_no_credentials_pays_no_request_for_them() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    puller.docker_config(&auths("elsewhere.example"));
    puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
    let asked: Vec<String> = registry.requests().iter().map(|request| request.path().to_owned()).collect();
    assert!(!asked.contains(&"/v2/".to_owned()), "{asked:?}");
    assert_eq!(asked.iter().filter(|path| path.contains("/manifests/")).count(), 2, "{asked:?}");
}

#[test]
fn a_registry_that_says_nothing_at_its_root_is_asked_as_before() {
    for status in [200, 404, 500] {
        let (image, registry, puller) = one();
        registry.ask_basic(USER, PASSWORD);
        registry.open("/v2/", Reply::new(status, *b""));
        puller.docker_config(&auths(&registry.host()));
        puller.pull(registry.name("team/demo")).retries(0).run().quietly().gets(&image);
    }
}

#[test]
fn no_creds_uses_none() {
    let (image, registry, puller) = one();
    registry.ask_bearer(&Issuer::anonymous());
    registry.when_asked(any("/token"), |request, reply| match authorization(request) {
        None => reply,
        Some(_) => Reply::error(401, "UNAUTHORIZED", "this password is stale"),
    });
    puller.docker_config(&auths(&registry.host()));
    puller.pull(registry.name("team/demo")).run().fails(&["this password is stale"]).says_nothing();
    registry.forget();
    puller.pull(registry.name("team/demo")).arg("--no-creds").run().quietly().gets(&image);
    assert!(registry.requests().iter().filter_map(authorization).all(|value| value.starts_with("Bearer ")));
    let both = puller.pull(registry.name("team/demo")).args(["--no-creds", "--username", USER, "--password-stdin"]);
    assert_eq!(both.stdin("x").run().ran.status.code(), Some(2));
}

#[test]
fn docker_config_is_read_as_go_reads_it() {
    let long = format!("SECRET-{}", "x".repeat(200));
    let broken = base64(format!("{USER}:{long}"))
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect::<Vec<_>>()
        .join("\n");
    let password: &'static str = Box::leak(long.into_boxed_str());
    for config in [
        json!({ "auths": { "HOST": { "auth": broken } } }),
        json!({ "auths": { "HOST": { "auth": broken }, "other.example": null, "odd": 7, "odder": { "auth": [] } } }),
        json!({ "AUTHS": { "HOST": { "Auth": broken } }, "CredHelpers": { "other.example": null } }),
    ] {
        let (image, registry, puller) = one();
        registry.ask_basic(USER, password);
        puller.file("home/.docker/config.json", config.to_string().replace("HOST", &registry.host()));
        puller.pull(registry.name("team/demo")).run().gets(&image);
    }
}

#[test]
fn a_password_need_not_be_utf_8() {
    let (image, registry, puller) = one();
    let auth = base64(b"user:SECRET-p\xe4ss");
    let expected = format!("Basic {auth}");
    registry.when_asked(any("/v2/"), move |request, reply| {
        if authorization(request) == Some(&*expected) {
            reply
        } else {
            Reply::new(401, *b"").header("WWW-Authenticate", "Basic realm=\"x\"")
        }
    });
    puller.docker_config(&json!({ "auths": { registry.host(): { "auth": auth } } }));
    puller.pull(registry.name("team/demo")).run().quietly().gets(&image);
    let pull = puller.pull(registry.name("team/demo")).args(["--username", USER, "--password-stdin"]);
    pull.stdin(*b"SECRET-p\xe4ss\n").run().quietly().gets(&image);
}

#[test]
fn a_helper_is_asked_for_what_the_file_calls_the_registry() {
    for (answer, key) in [
        (r#"{"Username":"user","Secret":"SECRET-password"}"#, "docker.io"),
        (r#"{"username":"user","secret":"SECRET-password"}"#, "https://index.docker.io/v1/"),
        (r#"{"USERNAME":"user","SECRET":"SECRET-password"}"#, "index.docker.io"),
    ] {
        let (_, registry, puller) = one();
        let proxy = Proxy::to(&registry.host());
        puller.helper("test", &format!("echo '{answer}'"));
        puller.docker_config(&json!({ "credHelpers": { key: "test" } }));
        // Nothing there speaks TLS; what counts is what the helper was asked before.
        let pull = puller.pull("demo").env("https_proxy", proxy.url()).retries(0);
        pull.run().fails(&["registry-1.docker.io"]);
        assert_eq!(puller.helper_log().lines().next(), Some(&*format!("get {key}")));
    }
}
