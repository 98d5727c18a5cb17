//! Users' own files that are none: a FIFO, a directory or a device without an end in the place of settings, credentials and
//! certificates makes nobody wait, takes no memory, and is named. Pipes that come to an end are files as good as others.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::one;
use crate::support::registry::{Authority, Image, Layer, Pull, Pulled, Puller, Registry, Reply, base64, get};
use crate::support::tool;

/// Seconds that a pipe is waited for here.
const TIMEOUT: u64 = 1;
/// More than a few such waits, on a loaded machine, and far from for ever.
const LONGEST: Duration = Duration::from_secs(40);

/// What stands where a file is due, and what is said of it.
const ODD: [(&str, &str); 4] =
    [("FIFO", "FIFO"), ("held", "FIFO"), ("directory", "directory"), ("endless", "longer than|device")];

/// Puts something odd in the place of `path`. What is returned keeps a FIFO's writer there, who says nothing.
fn put(odd: &str, path: &Path) -> Option<File> {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match odd {
        "directory" => fs::create_dir(path).unwrap(),
        "endless" => symlink("/dev/zero", path).unwrap(),
        _ => drop(tool("mkfifo", [path])),
    }
    (odd == "held").then(|| File::options().read(true).write(true).open(path).unwrap())
}

/// What becomes of a pull with each of the odd things at `place`, a path in the puller's directory.
#[track_caller]
fn with_each<'a>(
    puller: &'a Puller,
    place: &str,
    pull: impl Fn(&Path) -> Pull<'a>,
    ends: impl Fn(Pulled<'a>, &str, &str) -> Pulled<'a>,
) {
    for (odd, told) in ODD {
        let path = puller.path(place);
        let held = put(odd, &path);
        let begin = Instant::now();
        let pulled = pull(&path).timeout(TIMEOUT).retries(0).run();
        assert!(begin.elapsed() < LONGEST, "{place}, {odd}: {:?}", begin.elapsed());
        ends(pulled, path.file_name().unwrap().to_str().unwrap(), told);
        drop(held);
        if odd == "directory" { fs::remove_dir(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
}

#[test]
fn what_is_named_as_credentials_and_is_no_file_is_an_error() {
    let (_, registry, puller) = one();
    let pull = |path: &Path| puller.pull(registry.name("demo")).arg("--authfile").arg(path);
    with_each(&puller, "auth.json", pull, |pulled, name, told| pulled.fails(&[name, told]).says_nothing());
}

/// Most images need no credentials.
#[test]
fn what_stands_where_credentials_are_kept_and_is_no_file_is_told_of() {
    let (image, registry, puller) = one();
    for place in ["home/.docker/config.json", "home/.config/containers/auth.json", "run/containers/auth.json"] {
        let pull = |_: &Path| puller.pull(registry.name("demo"));
        registry.ask_basic("user", "SECRET-password");
        with_each(&puller, place, pull, |pulled, name, told| {
            let told = told.split('|').next().unwrap();
            pulled.fails(&["login|credentials|password|authfile"]).warns(name).warns(told).says_nothing()
        });
    }
    let (anybodys, other) = (Registry::start(), Puller::new());
    anybodys.push("demo", "latest", &image);
    let pull = |path: &Path| other.pull(anybodys.name("demo")).env("REGISTRY_AUTH_FILE", path);
    with_each(&other, "named.json", pull, |pulled, _, _| pulled.gets(&image));
    let config = |path: &Path| other.pull(anybodys.name("demo")).env("DOCKER_CONFIG", path.parent().unwrap());
    with_each(&other, "docker/config.json", config, |pulled, _, _| pulled.gets(&image));
}

/// It could be what forbids the registry.
#[test]
fn settings_of_registries_that_are_no_file_are_an_error() {
    let (_, registry, puller) = one();
    let named = |path: &Path| puller.pull(registry.name("demo")).env("CONTAINERS_REGISTRIES_CONF", path);
    with_each(&puller, "named.conf", named, |pulled, name, told| pulled.fails(&[name, told]).says_nothing());
    let found = |_: &Path| puller.pull(registry.name("demo")).env("CONTAINERS_REGISTRIES_CONF", "");
    for place in ["home/.config/containers/registries.conf", "home/.config/containers/registries.conf.d/x.conf"] {
        with_each(&puller, place, found, |pulled, name, told| pulled.fails(&[name, told]).says_nothing());
    }
}

fn secure() -> (Image, Authority, Registry, Puller) {
    let (image, authority) = (Image::of([Layer::noise(1, 20_000)]), Authority::new());
    let registry = Registry::start_tls(authority.server());
    registry.push("demo", "latest", &image);
    (image, authority, registry, Puller::new())
}

#[test]
fn certificates_that_are_no_file_are_an_error() {
    let (_, authority, registry, puller) = secure();
    let ca = authority.write(&puller.home());
    let (cert, key) = authority.identity(&["client"]).write(&puller.home(), "client");
    let pull = || puller.pull(registry.name("demo"));
    let named = |path: &Path| pull().arg("--ca-cert").arg(path);
    with_each(&puller, "ca.pem", named, |pulled, name, told| pulled.fails(&[name, told]).says_nothing());
    let named = |path: &Path| pull().arg("--ca-cert").arg(&ca).arg("--cert").arg(path).arg("--key").arg(&key);
    with_each(&puller, "cert.pem", named, |pulled, name, told| pulled.fails(&[name, told]).says_nothing());
    let named = |path: &Path| pull().arg("--ca-cert").arg(&ca).arg("--cert").arg(&cert).arg("--key").arg(path);
    with_each(&puller, "key.pem", named, |pulled, name, told| pulled.fails(&[name, told]).says_nothing());
    // The library that reads it would not come to an end.
    let named = |path: &Path| pull().env("SSL_CERT_FILE", path);
    with_each(&puller, "system.pem", named, |pulled, name, told| match told {
        "directory" => pulled.fails(&["certificate"]).says_nothing(),
        _ => pulled.fails(&["SSL_CERT_FILE", name, told]).says_nothing(),
    });
}

#[test]
fn what_lies_among_the_certificates_of_a_registry_and_is_no_file() {
    let (image, authority, registry, puller) = secure();
    let ca = authority.write(&puller.home());
    let (cert, key) = authority.identity(&["client"]).write(&puller.home(), "client");
    let certs = format!("home/.config/containers/certs.d/{}", registry.host());
    fs::create_dir_all(puller.path(&certs)).unwrap();
    let pull = |_: &Path| puller.pull(registry.name("demo")).arg("--ca-cert").arg(&ca);
    with_each(&puller, &format!("{certs}/other.crt"), pull, |pulled, name, _| pulled.warns(name).gets(&image));
    fs::copy(key, puller.path(&certs).join("client.key")).unwrap();
    with_each(&puller, &format!("{certs}/client.cert"), pull, |pulled, name, told| pulled.fails(&[name, told]));
    fs::remove_file(puller.path(&certs).join("client.key")).unwrap();
    fs::copy(cert, puller.path(&certs).join("client.cert")).unwrap();
    with_each(&puller, &format!("{certs}/client.key"), pull, |pulled, name, told| pulled.fails(&[name, told]));
}

#[test]
fn images_on_disk_whose_files_are_none() {
    let puller = Puller::new();
    fs::create_dir_all(puller.path("overlay2/top/diff")).unwrap();
    let overlay = |_: &Path| puller.pull(format!("overlay2:{}", puller.path("overlay2/top").display()));
    with_each(&puller, "overlay2/top/lower", overlay, |pulled, name, _| pulled.fails(&[name]).says_nothing());
    // What skopeo copies to dir: is known by its `version`.
    puller.file("skopeo/manifest.json", "{}");
    let path = puller.path("skopeo").display().to_string();
    let skopeo = |_: &Path| puller.pull(&path);
    with_each(&puller, "skopeo/version", skopeo, |pulled, _, _| pulled.fails(&["skopeo"]).says_nothing());
}

#[test]
fn a_password_without_an_end_is_an_error() {
    let (_, registry, puller) = one();
    let (name, store) = (registry.name("demo"), puller.store());
    for (input, told) in [("/dev/zero", "65536 bytes"), ("/", "directory"), ("/dev/null", "no password")] {
        let script = "exec oci-fetch -d \"$0\" --username u --password-stdin \"$1\" <\"$2\"";
        let ran = crate::support::shell(script).arg(&store).arg(&name).arg(input).run();
        assert!(matches!(ran.status.code(), Some(1 | 2)), "{}", ran.report());
        assert!(ran.stderr.contains("--password-stdin") && ran.stderr.contains(told), "{}", ran.report());
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.report());
    }
}

/// Writes `content` to a new FIFO as soon as somebody reads it, once.
fn fifo(puller: &Puller, name: &str, content: impl Into<Vec<u8>>) -> PathBuf {
    let (path, content) = (puller.path(name), content.into());
    tool("mkfifo", [&path]);
    let there = path.clone();
    thread::spawn(move || File::options().write(true).open(there).unwrap().write_all(&content));
    path
}

/// As `--authfile <(...)` and /dev/stdin: credentials are asked for more than once in a run.
#[test]
fn credentials_may_come_by_a_pipe() {
    let (image, registry, puller) = one();
    registry.ask_basic("user", "SECRET-password");
    let auths = json!({ "auths": { registry.host(): { "auth": base64("user:SECRET-password") } } }).to_string();
    let pull = || puller.pull(registry.name("demo"));
    pull().arg("--authfile").arg("/dev/stdin").stdin(&*auths).run().quietly().gets(&image);
    pull().arg("--authfile").arg(fifo(&puller, "fifo", &*auths)).run().quietly().gets(&image);
    pull().env("REGISTRY_AUTH_FILE", "/dev/stdin").stdin(&*auths).run().quietly().gets(&image);
    fs::create_dir(puller.path("config")).unwrap();
    fifo(&puller, "config/config.json", auths);
    pull().env("DOCKER_CONFIG", puller.path("config")).run().quietly().gets(&image);
}

#[test]
fn settings_may_come_by_a_pipe() {
    let (image, registry, puller) = one();
    let conf = format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", registry.host());
    let pull = || puller.pull(registry.name("demo"));
    let blocked = pull().env("CONTAINERS_REGISTRIES_CONF", fifo(&puller, "blocking.conf", conf)).run();
    blocked.fails(&["registries.conf blocks"]).says_nothing();
    pull().env("CONTAINERS_REGISTRIES_CONF", "/dev/null").run().quietly().gets(&image);
}

/// Another host is a client of its own, for which certificates are read anew.
#[test]
fn certificates_may_come_by_a_pipe() {
    let (image, authority, _, puller) = secure();
    let registry = Registry::start_tls(authority.server_for_known_clients());
    let elsewhere = Registry::start_tls(authority.server());
    registry.push("demo", "latest", &image);
    let layer = &image.layers[0];
    elsewhere.serve("/layer", "application/octet-stream", &*layer.bytes);
    let to = elsewhere.url("/layer");
    registry.when(get(&*layer.digest), move |_| Reply::redirect(307, &to));
    let (cert, key) = authority.identity(&["client"]).write(&puller.home(), "client");
    let [cert, key] = [("cert", cert), ("key", key)].map(|(name, path)| fifo(&puller, name, fs::read(path).unwrap()));
    let ca = fifo(&puller, "ca", authority.pem());
    let pull =
        puller.pull(registry.name("demo")).arg("--ca-cert").arg(ca).arg("--cert").arg(cert).arg("--key").arg(key);
    pull.run().quietly().gets_exactly(&image);
}
