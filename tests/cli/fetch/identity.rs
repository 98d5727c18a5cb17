//! Client certificates: whom they are shown to (R5).

use serde_json::json;

use crate::support::registry::{Authority, Image, Issuer, Layer, Puller, Registry, Reply, base64, get};

/// A registry that asks everyone for a certificate, another host that does, and a puller who has one.
struct Scene {
    authority: Authority,
    registry: Registry,
    elsewhere: Registry,
    puller: Puller,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let registry = Registry::start_tls(authority.server_that_asks());
        let elsewhere = Registry::start_at(std::net::Ipv4Addr::new(127, 0, 0, 2), Some(authority.server_that_asks()));
        Self { authority, registry, elsewhere, puller: Puller::new() }
    }

    /// Pulls `demo` from the registry with `--cert`.
    fn pulls(&self, image: &Image) {
        let (certificate, key) = self.authority.identity(&["me"]).write(&self.puller.home(), "me");
        let pull = self.puller.pull(self.registry.name("demo"));
        let pull = pull.arg("--ca-cert").arg(self.authority.write(&self.puller.home()));
        pull.arg("--cert").arg(certificate).arg("--key").arg(key).run().gets(image);
    }

    /// The registry saw the certificate with every request, the other host was asked and did not see it.
    #[track_caller]
    fn it_was_shown_to_the_registry_alone(&self) {
        let requests = self.registry.requests();
        assert!(!requests.is_empty() && requests.iter().all(|request| request.certificate));
        let requests = self.elsewhere.requests();
        assert!(!requests.is_empty() && requests.iter().all(|request| !request.certificate));
    }
}

fn image() -> Image {
    Image::of([Layer::noise(1, 20_000)])
}

#[test]
fn a_redirect_does_not_see_the_client_certificate() {
    let scene = Scene::new();
    scene.registry.push("demo", "latest", &image());
    scene.elsewhere.serve("/layer", "application/octet-stream", &*image().layers[0].bytes);
    let to = scene.elsewhere.url("/layer?sig=SECRET");
    scene.registry.when(get(&*image().layers[0].digest), move |_| Reply::redirect(307, &to));
    scene.pulls(&image());
    scene.it_was_shown_to_the_registry_alone();
}

#[test]
fn a_token_server_elsewhere_does_not_see_the_client_certificate() {
    let scene = Scene::new();
    scene.registry.push("demo", "latest", &image());
    let issuer = Issuer::account("user", "SECRET");
    scene.elsewhere.issue(&issuer);
    scene.registry.ask_bearer_at(&issuer, scene.elsewhere.url("/token"));
    scene.puller.docker_config(&json!({ "auths": { scene.registry.host(): { "auth": base64("user:SECRET") } } }));
    scene.pulls(&image());
    scene.it_was_shown_to_the_registry_alone();
}

#[test]
fn where_a_foreign_layer_stands_the_client_certificate_is_not_seen() {
    let scene = Scene::new();
    let layer = Layer::noise(1, 20_000);
    scene.elsewhere.serve("/layer", "application/octet-stream", &*layer.bytes);
    let image = Image::of([layer.foreign(&[scene.elsewhere.url("/layer")])]);
    scene.registry.push("demo", "latest", &image);
    scene.pulls(&image);
    scene.it_was_shown_to_the_registry_alone();
}

#[test]
fn a_mirror_sees_the_certificate_of_certs_d_and_not_that_of_the_command_line() {
    let scene = Scene::new();
    scene.registry.push("demo", "latest", &image());
    scene.puller.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        scene.registry.host(),
        scene.elsewhere.host()
    ));
    scene.pulls(&image());
    scene.it_was_shown_to_the_registry_alone();
    scene.elsewhere.forget();
    let directory = format!("home/.config/containers/certs.d/{}", scene.elsewhere.host());
    let identity = scene.authority.identity(&["me too"]);
    scene.puller.file(&format!("{directory}/client.cert"), &identity.certificate);
    scene.puller.file(&format!("{directory}/client.key"), &identity.key);
    scene.pulls(&image());
    let requests = scene.elsewhere.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.certificate));
}

#[test]
fn docker_hubs_certificates_have_either_of_its_names() {
    for name in ["docker.io", "registry-1.docker.io"] {
        let authority = Authority::new();
        let registry = Registry::start_tls(authority.identity(&["registry-1.docker.io"]).server());
        registry.push("library/demo", "latest", &image());
        let proxy = crate::support::registry::Proxy::to(&registry.host());
        let puller = Puller::new();
        let pull = || puller.pull("demo").env("https_proxy", proxy.url());
        pull().run().fails(&["registry-1.docker.io", "certificate"]).says_nothing();
        puller.file(&format!("home/.config/containers/certs.d/{name}/ca.crt"), authority.pem());
        pull().run().quietly().gets(&image());
    }
}
