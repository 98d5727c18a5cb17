//! A small HTTP proxy that leads every host to the registry under test, and writes down what it is asked.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::http::Request;
use super::wire::read_request;

/// The proxy. Dropping it stops it.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    to: SocketAddr,
    stopping: AtomicBool,
    requests: Mutex<Vec<Request>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy behind which every host is `host` (`127.0.0.1:PORT`).
    pub fn to(host: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: host.parse().unwrap(),
            stopping: AtomicBool::new(false),
            requests: Mutex::default(),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let listener = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { shared, address, listener: Some(listener) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests as the proxy saw them: absolute targets, or CONNECT.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(self.to)?;
        for side in [&stream, &server] {
            self.streams.lock().unwrap().push(side.try_clone()?);
        }
        let done = (stream.try_clone()?, server.try_clone()?);
        let result = self.relay(stream, server);
        let _ = (done.0.shutdown(Shutdown::Both), done.1.shutdown(Shutdown::Both));
        result
    }

    fn relay(&self, stream: TcpStream, mut server: TcpStream) -> io::Result<()> {
        let mut client = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        let back = server.try_clone()?;
        let Some(first) = read_request(&mut reader, false)? else { return Ok(()) };
        if first.method == "CONNECT" {
            self.requests.lock().unwrap().push(first);
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let sending = thread::spawn(move || io::copy(&mut reader, &mut server));
            copy_back(back, client);
            let _ = sending.join();
            return Ok(());
        }
        let returning = thread::spawn(move || copy_back(back, client));
        let mut next = Some(first);
        while let Some(request) = next {
            server.write_all(forwarded(&request).as_bytes())?;
            self.requests.lock().unwrap().push(request);
            next = read_request(&mut reader, false)?;
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = returning.join();
        Ok(())
    }
}

/// The request as the registry is to see it.
fn forwarded(request: &Request) -> String {
    let path = request.target.splitn(4, '/').nth(3).unwrap_or_default();
    let mut text = format!("{} /{path} HTTP/1.1\r\n", request.method);
    for (name, value) in &request.headers {
        if !name.to_lowercase().starts_with("proxy-") {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text + "\r\n" + &request.body
}

fn copy_back(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
