//! Real peers: docker-registry, skopeo, buildah, umoci. What they write, we read.

use std::fs;
use std::path::PathBuf;

use crate::support::registry::{Authority, DockerRegistry, Image, Layer, Puller, oci_layout};
use crate::support::{Filter, shell, tool};

/// An OCI layout with one image `latest`, and that image.
pub(super) fn layout(puller: &Puller) -> (Image, PathBuf) {
    let image = Image::of([Layer::noise(1, 60_000), Layer::file("etc/motd", "hello\n")]);
    let path = puller.path("layout");
    oci_layout(&path, &[("latest", &image)]);
    (image, path)
}

pub(super) fn skopeo(args: &[&str]) {
    Filter::tool("skopeo").args(["--insecure-policy", "copy", "-q"]).args(args).run().succeeds();
}

#[test]
fn docker_registry_serves_what_skopeo_pushed() {
    let registry = DockerRegistry::start();
    let puller = Puller::new();
    let (image, from) = layout(&puller);
    let to = format!("docker://{}", registry.name("team/demo:1"));
    skopeo(&["--dest-tls-verify=false", &format!("oci:{}:latest", from.display()), &to]);
    puller.pull(registry.name("team/demo:1")).run().quietly().gets_exactly(&image);
    puller.pull(registry.name("team/demo:1")).run().quietly().gets_exactly(&image);
    let docker = format!("docker://{}", registry.name("team/demo:docker"));
    skopeo(&["--dest-tls-verify=false", "-f", "v2s2", &format!("oci:{}:latest", from.display()), &docker]);
    let pulled = puller.pull(registry.name("team/demo:docker")).run().quietly().gets(&image);
    assert_eq!(pulled.records()[1]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    puller.pull(registry.name("team/nosuch")).run().fails(&["team/nosuch", "404|not found|unknown"]).says_nothing();
}

#[test]
fn docker_registry_with_passwords_opens_to_who_knows() {
    let registry = DockerRegistry::start_with(Some(("user", "SECRET-password")), None);
    let puller = Puller::new();
    let (image, from) = layout(&puller);
    let to = format!("docker://{}", registry.name("demo:latest"));
    let creds = ["--dest-tls-verify=false", "--dest-creds", "user:SECRET-password"];
    skopeo(&[&creds[..], &[&format!("oci:{}:latest", from.display()), &to]].concat());
    puller.pull(registry.name("demo")).run().fails(&["401|unauthorized|auth"]).says_nothing();
    let known = ["--username", "user", "--password-stdin"];
    puller.pull(registry.name("demo")).args(known).stdin("SECRET-wrong").run().fails(&["401|unauthorized|auth"]);
    puller.pull(registry.name("demo")).args(known).stdin("SECRET-password").run().gets(&image);
    // As skopeo login writes it.
    let authfile = puller.path("auth.json");
    let login =
        Filter::tool("skopeo").args(["login", "--tls-verify=false", "-u", "user", "--password-stdin", "--authfile"]);
    login.arg(&authfile).arg(registry.host()).stdin("SECRET-password").run().succeeds();
    puller.pull(registry.name("demo")).arg("--authfile").arg(authfile).run().gets(&image);
}

#[test]
fn docker_registry_with_tls_is_trusted_by_its_authority() {
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let registry = DockerRegistry::start_with(Some(("user", "SECRET-password")), Some(&identity));
    let puller = Puller::new();
    let (image, from) = layout(&puller);
    let to = format!("docker://{}", registry.name("demo:latest"));
    let creds = ["--dest-tls-verify=false", "--dest-creds", "user:SECRET-password"];
    skopeo(&[&creds[..], &[&format!("oci:{}:latest", from.display()), &to]].concat());
    let ca = authority.write(&puller.home());
    let pull =
        || puller.pull(registry.name("demo")).args(["--username", "user", "--password-stdin"]).stdin("SECRET-password");
    pull().run().fails(&["certificate"]).says_nothing();
    pull().arg("--ca-cert").arg(&ca).run().quietly().gets_exactly(&image);
    // And one that asks for no password.
    let open = DockerRegistry::start_with(None, Some(&identity));
    let to = format!("docker://{}", open.name("demo:latest"));
    skopeo(&["--dest-tls-verify=false", &format!("oci:{}:latest", from.display()), &to]);
    Puller::new().pull(open.name("demo")).arg("--ca-cert").arg(ca).run().quietly().gets_exactly(&image);
}

#[test]
fn layouts_by_umoci_are_read() {
    let puller = Puller::new();
    let (layout, bundle) = (puller.path("umoci"), puller.path("bundle"));
    let image = format!("{}:demo", layout.display());
    shell(
        "umoci init --layout \"$0\" && umoci new --image \"$1\" && umoci unpack --image \"$1\" \"$2\" \
           && echo x >\"$2/rootfs/x\" && umoci repack --image \"$1\" \"$2\"",
    )
    .arg(&layout)
    .arg(&image)
    .arg(&bundle)
    .run()
    .succeeds();
    let pulled = puller.pull(format!("oci:{image}")).run().quietly();
    let records = pulled.records();
    assert_eq!(records.len(), 3, "{}", pulled.ran.report());
    assert!(fs::metadata(records[1]["path"].as_str().unwrap()).unwrap().is_file());
}

#[test]
fn skopeo_copies_out_of_our_store() {
    let registry = DockerRegistry::start();
    let puller = Puller::new();
    let (image, from) = layout(&puller);
    let to = format!("docker://{}", registry.name("demo:latest"));
    skopeo(&["--dest-tls-verify=false", &format!("oci:{}:latest", from.display()), &to]);
    puller.pull(registry.name("demo")).run().gets(&image);
    let store = format!("oci:{}:{}", puller.store().display(), registry.name("demo:latest"));
    tool("skopeo", ["inspect", &store]);
    skopeo(&[&store, &format!("dir:{}", puller.path("dir").display())]);
}
