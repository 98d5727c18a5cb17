//! What servers say, and what a user's own files say of them, as `oci-fetch` reads it.

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::grows_in_proportion;
use crate::support::registry::{Image, Layer, Registry, Reply, any, get};

/// With a store of its own, so that each pull asks.
const FETCH: &str = "oci-fetch -q -d store$$ --insecure --retries 0 --timeout 20";

/// Pulls from a registry with an image `demo` that `prepare` has made worse, to the size it is given; it returns what stands
/// before the command.
#[track_caller]
fn pulls(name: &str, n: usize, prepare: impl Fn(&Registry, &Path, usize) -> String) {
    let registries = RefCell::new(Vec::new());
    grows_in_proportion(name, n, |directory, n| {
        let registry = Registry::start();
        registry.push("demo", "latest", &Image::of([Layer::file("a", "b")]));
        let flags = prepare(&registry, directory, n);
        let name = registry.name("demo");
        registries.borrow_mut().push(registry);
        format!("{flags} {FETCH} {name}")
    });
}

/// A server that gives everybody the same bytes and hangs up.
struct Parrot {
    host: String,
    stop: Arc<AtomicBool>,
}

impl Parrot {
    fn start(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => Self::answer(stream, &bytes),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self { host, stop }
    }

    fn answer(mut stream: TcpStream, bytes: &[u8]) {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The client may have enough before the end.
        let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(bytes));
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Pulls from a server that answers what `answer` makes of the size it is given.
#[track_caller]
fn hears(name: &str, n: usize, answer: impl Fn(usize) -> Vec<u8>) {
    let parrots = RefCell::new(Vec::new());
    grows_in_proportion(name, n, |_, n| {
        let parrot = Parrot::start(answer(n));
        let host = parrot.host.clone();
        parrots.borrow_mut().push(parrot);
        format!("{FETCH} {host}/demo")
    });
}

#[test]
fn answers() {
    let text = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
    let end = "Content-Length: 0\r\n\r\n";
    hears("answers before the answer", 5000, |n| {
        let hints = text(n, &|at| format!("HTTP/1.1 103 Early Hints\r\nLink: </{at}>\r\n\r\n"));
        format!("{hints}HTTP/1.1 404 Not Found\r\n{end}").into_bytes()
    });
    hears("a long line of a header", 80_000, |n| {
        format!("HTTP/1.1 404 Not Found\r\nX-Long: {}\r\n{end}", "x".repeat(n)).into_bytes()
    });
    hears("a folded header", 20_000, |n| {
        format!("HTTP/1.1 404 Not Found\r\nX-Long: x\r\n{}{end}", " x\r\n".repeat(n)).into_bytes()
    });
    hears("headers", 240, |n| {
        let headers = text(n, &|at| format!("X-{at}: {at}\r\n"));
        format!("HTTP/1.1 404 Not Found\r\n{headers}{end}").into_bytes()
    });
    for name in ["Set-Cookie", "WWW-Authenticate", "Location", "Link", "Content-Encoding", "Docker-Content-Digest"] {
        hears(&format!("lines of {name}"), 240, |n| {
            let headers = text(n, &|at| format!("{name}: Basic realm=\"{at}\"\r\n"));
            format!("HTTP/1.1 401 Unauthorized\r\n{headers}{end}").into_bytes()
        });
    }
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    hears("chunks of a byte", 40_000, |n| format!("{chunked}{}0\r\n\r\n", "1\r\n \r\n".repeat(n)).into_bytes());
    hears("extensions of chunks", 3000, |n| {
        format!("{chunked}{}0\r\n\r\n", "1;name=value\r\n \r\n".repeat(n)).into_bytes()
    });
    hears("trailers", 1000, |n| {
        let trailers = text(n, &|at| format!("X-{at}: {at}\r\n"));
        format!("{chunked}1\r\n \r\n0\r\n{trailers}\r\n").into_bytes()
    });
}

#[test]
fn headers() {
    let parameters = |n: usize| (0..n).map(|at| format!("p{at}=\"v\"")).collect::<Vec<_>>().join(",");
    pulls("parameters of a challenge", 3000, |registry, _, n| {
        let challenge = format!("Bearer realm=\"{}\",{}", registry.url("/token"), parameters(n));
        registry.when(any("/v2/"), move |_| Reply::new(401, *b"").header("WWW-Authenticate", &challenge));
        String::new()
    });
    pulls("parameters between blanks", 20_000, |registry, _, n| {
        let challenge = format!("Bearer realm={} {}", registry.url("/token"), "a=b ".repeat(n));
        registry.when(any("/v2/"), move |_| Reply::new(401, *b"").header("WWW-Authenticate", &challenge));
        String::new()
    });
    pulls("challenges", 4000, |registry, _, n| {
        let challenges = "Other a=\"b\", ".repeat(n) + "Basic realm=\"x\"";
        registry.when(any("/v2/"), move |_| Reply::new(401, *b"").header("WWW-Authenticate", &challenges));
        String::new()
    });
    pulls("quotes in a challenge", 20_000, |registry, _, n| {
        let challenge = format!("Bearer realm=\"{}", "\\\"".repeat(n));
        registry.when(any("/v2/"), move |_| Reply::new(401, *b"").header("WWW-Authenticate", &challenge));
        String::new()
    });
    pulls("a redirect to a long address", 30_000, |registry, _, n| {
        let to = registry.url(&format!("/{}?{}", "../".repeat(n / 3), "a&".repeat(n / 2)));
        registry.when(get("/blobs/"), move |_| Reply::redirect(307, &to));
        String::new()
    });
    pulls("a redirect to itself", 2, |registry, _, _| {
        let to = registry.url("/v2/demo/manifests/latest");
        registry.when(get("/manifests/"), move |_| Reply::redirect(307, &to));
        String::new()
    });
}

#[test]
fn bodies() {
    pulls("errors in an answer", 20_000, |registry, _, n| {
        let errors: Vec<Value> = (0..n).map(|at| json!({ "code": "DENIED", "message": at, "detail": [at] })).collect();
        let body = json!({ "errors": errors }).to_string();
        registry.when(any("/v2/"), move |_| Reply::new(403, body.clone().into_bytes()));
        String::new()
    });
    pulls("a token with much beside it", 8000, |registry, _, n| {
        let challenge = format!("Bearer realm=\"{}\"", registry.url("/token"));
        registry.when(any("/v2/"), move |_| Reply::new(401, *b"").header("WWW-Authenticate", &challenge));
        let body = json!({ "more": (0..n).collect::<Vec<_>>(), "token": "SECRET" }).to_string();
        registry.open("/token", Reply::new(200, body.into_bytes()));
        String::new()
    });
    pulls("addresses of a foreign layer", 40, |registry, _, n| {
        let urls: Vec<String> = (0..n).map(|at| registry.url(&format!("/none/{at}"))).collect();
        let layer = Layer::file("a", "b").foreign(&urls);
        registry.push("demo", "latest", &Image::of([layer]));
        registry.when(get("/blobs/"), |_| Reply::new(404, *b""));
        String::new()
    });
}

#[test]
fn files_of_the_user() {
    pulls("registries of registries.conf", 1500, |_, directory, n| {
        let registry =
            |at: usize| format!("[[registry]]\nprefix = \"*.h{at}.example\"\nlocation = \"h{at}.example\"\n");
        fs::create_dir_all(directory.join(".config/containers")).unwrap();
        let text: String = (0..n).map(registry).collect();
        fs::write(directory.join(".config/containers/registries.conf"), text).unwrap();
        String::new()
    });
    pulls("mirrors of a registry", 30, |registry, directory, n| {
        let mirrors: String = (0..n)
            .map(|at| format!("[[registry.mirror]]\nlocation = \"{}/m{at}\"\ninsecure = true\n", registry.host()))
            .collect();
        fs::create_dir_all(directory.join(".config/containers")).unwrap();
        let text = format!("[[registry]]\nprefix = \"{0}\"\nlocation = \"{0}\"\n{mirrors}", registry.host());
        fs::write(directory.join(".config/containers/registries.conf"), text).unwrap();
        String::new()
    });
    pulls("accounts of config.json", 10_000, |_, directory, n| {
        let auths = (0..n).map(|at| (format!("https://h{at}.example/v1/"), json!({ "auth": "dTpw" }))).collect();
        fs::write(directory.join("auth.json"), json!({ "auths": Value::Object(auths) }).to_string()).unwrap();
        "env REGISTRY_AUTH_FILE=auth.json".to_owned()
    });
    pulls("files of registries.conf.d", 400, |_, directory, n| {
        let conf = directory.join(".config/containers/registries.conf.d");
        fs::create_dir_all(&conf).unwrap();
        for at in 0..n {
            let text = format!("[[registry]]\nprefix = \"h{at}.example\"\nlocation = \"other.example\"\n");
            fs::write(conf.join(format!("{at}.conf")), text).unwrap();
        }
        String::new()
    });
    pulls("files of certs.d", 300, |registry, directory, n| {
        let authority = crate::support::registry::Authority::new();
        let certs = directory.join(".config/containers/certs.d").join(registry.host());
        fs::create_dir_all(&certs).unwrap();
        let (cert, key) = authority.identity(&["client"]).write(directory, "client");
        for at in 0..n {
            fs::write(certs.join(format!("{at}.crt")), authority.pem()).unwrap();
            fs::copy(&cert, certs.join(format!("{at}.cert"))).unwrap();
            fs::copy(&key, certs.join(format!("{at}.key"))).unwrap();
        }
        String::new()
    });
    pulls("certificates", 60, |_, directory, n| {
        let authority = crate::support::registry::Authority::new();
        fs::write(directory.join("ca.pem"), authority.pem().repeat(n)).unwrap();
        "env SSL_CERT_FILE=ca.pem".to_owned()
    });
}

#[test]
fn proxies() {
    // One variable has 128 KiB at most.
    pulls("hosts of NO_PROXY", 3000, |registry, directory, n| {
        let hosts: Vec<String> = (0..n).map(|at| format!("h{at}.x")).chain([registry.host()]).collect();
        fs::write(directory.join("hosts"), hosts.join(",")).unwrap();
        "env HTTP_PROXY=http://127.0.0.1:9 NO_PROXY=$(cat hosts)".to_owned()
    });
}
