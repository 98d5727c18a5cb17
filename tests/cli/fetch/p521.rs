//! Certificates on the curve P-521, made by OpenSSL and shown by it (R5).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::one;
use crate::support::registry::Registry;
use crate::support::{needs, scratch, tool};

/// Certificates of one authority.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    /// An authority on P-521.
    fn new() -> Self {
        needs(&["openssl", "python3"]);
        let directory = scratch();
        let own = Self { directory };
        own.request("ca", "P-521", &["-addext", "basicConstraints=critical,CA:TRUE"]);
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate on `curve`, signed by the authority with `hash`.
    fn identity(&self, name: &str, curve: &str, hash: &str) -> (PathBuf, PathBuf) {
        let (ca, key) = (self.path("ca.crt"), self.path("ca.key"));
        let (ca, key) = (ca.to_str().unwrap(), key.to_str().unwrap());
        let names = "subjectAltName=IP:127.0.0.1";
        let more = ["-CA", ca, "-CAkey", key, hash, "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"];
        self.request(name, curve, &more)
    }

    fn request(&self, name: &str, curve: &str, more: &[&str]) -> (PathBuf, PathBuf) {
        let (cert, key) = (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")));
        let curve = format!("ec_paramgen_curve:{curve}");
        let subject = format!("/CN={name}");
        let common = ["req", "-x509", "-newkey", "ec", "-pkeyopt", &curve, "-nodes", "-days", "30", "-subj", &subject];
        let files = ["-out", cert.to_str().unwrap(), "-keyout", key.to_str().unwrap()];
        tool("openssl", [&common[..], &files, more].concat());
        (cert, key)
    }
}

/// TLS as OpenSSL speaks it, in front of a registry of plain HTTP. It ends when it is dropped.
struct Tls {
    process: Child,
    port: u16,
}

impl Tls {
    /// `clients`: the authority whose certificates clients must show.
    fn before(registry: &Registry, (cert, key): &(PathBuf, PathBuf), clients: Option<&Path>) -> Self {
        const SCRIPT: &str = "
import os, select, socket, ssl, sys, threading
cert, key, clients, port = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
if clients:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(clients)
def serve(raw):
    try:
        client = context.wrap_socket(raw, server_side=True)
        server = socket.create_connection(('127.0.0.1', int(port)))
        while True:
            ready = [client] if client.pending() else select.select([client, server], [], [])[0]
            for side, other in ((client, server), (server, client)):
                if side in ready:
                    data = side.recv(65536)
                    if not data:
                        return
                    other.sendall(data)
    except OSError:
        pass
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).args([cert, key]).arg(clients.unwrap_or(Path::new("")));
        command.arg(registry.port().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().expect("a port") }
    }

    fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn authorities_and_servers_on_p_521_are_trusted_when_named() {
    let certificates = Certificates::new();
    for (curve, hash) in [("P-256", "-sha512"), ("P-521", "-sha512"), ("P-521", "-sha384"), ("P-384", "-sha256")] {
        let (image, registry, puller) = one();
        let tls = Tls::before(&registry, &certificates.identity("server", curve, hash), None);
        let pull = || puller.pull(tls.name("demo")).retries(0);
        pull().run().fails(&["certificate"]).says_nothing();
        assert!(registry.requests().is_empty());
        pull().arg("--ca-cert").arg(certificates.path("ca.crt")).run().quietly().gets_exactly(&image);
    }
}

#[test]
fn another_authority_on_p_521_is_refused() {
    let (mine, other) = (Certificates::new(), Certificates::new());
    let (_, registry, puller) = one();
    let tls = Tls::before(&registry, &mine.identity("server", "P-521", "-sha512"), None);
    let pull = puller.pull(tls.name("demo")).arg("--ca-cert").arg(other.path("ca.crt"));
    pull.run().fails(&["certificate"]).says_nothing();
    assert!(registry.requests().is_empty());
}

#[test]
fn a_client_shows_a_certificate_on_p_521() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.crt");
    let (image, registry, puller) = one();
    let tls = Tls::before(&registry, &certificates.identity("server", "P-521", "-sha512"), Some(&ca));
    let (cert, key) = certificates.identity("client", "P-521", "-sha512");
    let pull = || puller.pull(tls.name("demo")).retries(0).arg("--ca-cert").arg(&ca);
    pull().run().fails(&["certificate|tls|alert|broke"]).says_nothing();
    // The key as OpenSSL writes it now, and as it did before.
    let old = certificates.path("old.key");
    tool("openssl", ["ec", "-in", key.to_str().unwrap(), "-out", old.to_str().unwrap()]);
    for key in [&key, &old] {
        pull().arg("--cert").arg(&cert).arg("--key").arg(key).run().quietly().gets_exactly(&image);
    }
}
