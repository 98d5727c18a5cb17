//! Real servers on loopback: the distribution project's `docker-registry`, and `nghttpx`, a proxy that speaks HTTP/2.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::tls::Identity;
use crate::support::{needs, scratch, tool};

/// The registry, its data in a scratch directory. Dropping it stops it.
pub struct DockerRegistry {
    child: Child,
    port: u16,
    _scratch: tempfile::TempDir,
}

impl DockerRegistry {
    pub fn start() -> Self {
        Self::start_with(None, None)
    }

    /// For this name and password alone, by htpasswd.
    pub fn start_with(account: Option<(&str, &str)>, identity: Option<&Identity>) -> Self {
        needs(&["docker-registry", "htpasswd"]);
        let scratch = scratch();
        let port = free_port();
        let root = scratch.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: test\n"
        );
        if let Some(identity) = identity {
            let (certificate, key) = identity.write(scratch.path(), "server");
            config += &format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
        }
        if let Some((user, password)) = account {
            let file = tool("htpasswd", ["-Bbn", user, password]);
            fs::write(scratch.path().join("htpasswd"), &file.stdout).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n");
        }
        let path: PathBuf = scratch.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(scratch.path().join("log")).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("docker-registry");
        let registry = Self { child, port, _scratch: scratch };
        wait_for(port);
        registry
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// An image's name as one gives it to `oci-fetch`.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `nghttpx` with TLS before a server of plain HTTP/1.1. Dropping it stops it.
pub struct Nghttpx {
    child: Child,
    port: u16,
    scratch: tempfile::TempDir,
}

impl Nghttpx {
    /// Before the server at `host`; `versions` are offered to clients, in the order of preference: `h2`, `http/1.1`.
    pub fn before(host: &str, identity: &Identity, versions: &str) -> Self {
        needs(&["nghttpx"]);
        let (scratch, port) = (scratch(), free_port());
        let (certificate, key) = identity.write(scratch.path(), "server");
        let child = Command::new("nghttpx")
            .arg("--conf=/dev/null")
            .arg(format!("--frontend=127.0.0.1,{port}"))
            .arg(format!("--backend={}", host.replace(':', ",")))
            .arg(format!("--npn-list={versions}"))
            .arg(format!("--accesslog-file={}", scratch.path().join("access").display()))
            .args(["--accesslog-format=$alpn", "--workers=1", "--log-level=FATAL", "--no-ocsp"])
            .args([&key, &certificate])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nghttpx");
        let proxy = Self { child, port, scratch };
        wait_for(port);
        proxy
    }

    /// An image's name as one gives it to `oci-fetch`.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// The version that each answer so far came by: `h2`, `http/1.1`.
    pub fn versions(&self) -> Vec<String> {
        let log = fs::read_to_string(self.scratch.path().join("access")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nghttpx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now; nobody else is given it before a server takes it, since the kernel goes round.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens.
fn wait_for(port: u16) {
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody listens on port {port}");
        thread::sleep(Duration::from_millis(20));
    }
}
