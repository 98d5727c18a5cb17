//! A wire to a server on loopback that can be cut, or go dead, after any byte.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

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
    pub fn to(server: &str, budget: u64, then: Then) -> Self {
        let server: SocketAddr = server.parse().expect("an address");
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

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
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
