//! A real registry on loopback, and a wire to it that can be cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::filter::Filter;
use super::tools::{find, needs};

/// Docker's own registry with its storage in a directory; killed when dropped.
pub struct Registry {
    child: Child,
    address: SocketAddr,
}

impl Registry {
    /// Starts it on a port of 127.0.0.1 that the kernel chooses.
    pub fn start(storage: &Path) -> Self {
        needs(&["docker-registry"]);
        let config = storage.join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        std::fs::write(&config, text).expect("registry configuration");
        let mut command = Command::new(find("docker-registry").expect("needs() found it"));
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.env_remove("PORT").spawn().expect("docker-registry");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).expect("log") > 0, "docker-registry ended before it listened");
            if let Some((_, rest)) = line.split_once("listening on ") {
                let address = rest.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').next();
                break address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{line}"));
            }
        };
        // It must not block on a full pipe.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pushes the tag `latest` of an OCI layout with skopeo as `name`.
    #[track_caller]
    pub fn push(&self, layout: &Path, name: &str) {
        Filter::tool("skopeo")
            .args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(format!("docker://{}/{name}", self.address))
            .run()
            .succeeds();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a [`Wire`] does once it has carried its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Carries nothing more but keeps every connection open.
    Stall,
    /// Closes the connection, and every later one at once.
    Cut,
}

/// A TCP forwarder on loopback that carries a given number of bytes from the server to the client.
pub struct Wire {
    address: SocketAddr,
    carried: Arc<AtomicU64>,
    exhausted: mpsc::Receiver<()>,
}

impl Wire {
    /// Forwards to `server` until `budget` bytes of answers have passed. Its threads end with the test process.
    pub fn to(server: SocketAddr, budget: u64, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("address");
        let carried = Arc::new(AtomicU64::new(0));
        let (report, exhausted) = mpsc::channel();
        let count = Arc::clone(&carried);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (count, report) = (Arc::clone(&count), report.clone());
                thread::spawn(move || forward(&client, server, &count, budget, then, &report));
            }
        });
        Self { address, carried, exhausted }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes of answers carried so far.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }

    /// Waits until the budget is used up; false when it was not within a minute.
    pub fn wait_exhausted(&self) -> bool {
        self.exhausted.recv_timeout(std::time::Duration::from_secs(60)).is_ok()
    }
}

fn forward(
    client: &TcpStream,
    server: SocketAddr,
    count: &AtomicU64,
    budget: u64,
    then: Then,
    report: &mpsc::Sender<()>,
) {
    let Ok(server) = TcpStream::connect(server) else { return };
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (&server, client);
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from_server.read(&mut buffer) {
        let before = count.fetch_add(length as u64, Ordering::SeqCst);
        let allowed = usize::try_from(budget.saturating_sub(before)).map_or(length, |left| left.min(length));
        if to_client.write_all(&buffer[..allowed]).is_err() {
            break;
        }
        if allowed < length {
            let _ = report.send(());
            if then == Then::Stall {
                // Until the client goes away.
                thread::sleep(std::time::Duration::from_secs(120));
            }
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
