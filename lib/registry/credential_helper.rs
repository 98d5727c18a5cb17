//! Credential helpers: `docker-credential-NAME get` (docker/docker-credential-helpers, README).

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::{Map, Value};

use super::credential::Credential;
use super::{Secret, go_json};

/// A helper may ask the user for a passphrase, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The limit on an answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Asks a helper for the credentials of `server`; `None` if it has none.
///
/// The helper's output is never shown: it may contain secrets.
pub(super) fn get(helper: &str, server: &str) -> Result<Option<Credential>, String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if helper.is_empty() || !helper.bytes().all(word) {
        return Err(format!("{helper:?} is no name of a credential helper"));
    }
    let program = format!("docker-credential-{helper}");
    let (success, output) = run(&program, server).map_err(|e| format!("{program}: {e}"))?;
    if success != Some(true) {
        let text = String::from_utf8_lossy(&output).to_ascii_lowercase();
        if text.contains("credentials not found") || text.contains("no credentials") {
            return Ok(None);
        }
    }
    if success == Some(false) {
        return Err(format!("{program} failed (try: echo {server} | {program} get)"));
    }
    let no_json = |_| format!("{program} answered no JSON");
    let answer: Map<String, Value> = serde_json::from_slice(&output).map_err(no_json)?;
    let text = |name| go_json::text(&answer, name).map_err(|_| format!("{program} answered no {name}"));
    let (user, secret) = (text("Username")?, Secret::new(text("Secret")?.unwrap_or_default()));
    Ok(match user {
        Some("<token>") => Some(Credential::Identity(secret)),
        None => None,
        Some(user) => Some(Credential::Basic { user: user.as_bytes().to_vec(), password: secret }),
    })
}

/// Returns whether it succeeded, and its output. Where SIGCHLD is ignored, as whoever started us may have had it, the system
/// does not say whether.
fn run(program: &str, server: &str) -> Result<(Option<bool>, Vec<u8>), String> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // If a helper does not read its input, its exit status will tell.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.stdout.take();
    let read = move || {
        let mut bytes = Vec::new();
        let read = output.map(|output| output.take(MAX_ANSWER).read_to_end(&mut bytes));
        read.transpose().map(|_| bytes)
    };
    let reader = match thread::Builder::new().spawn(read) {
        Ok(reader) => reader,
        Err(error) => {
            let _ = (child.kill(), child.wait());
            return Err(format!("cannot start a thread: {error}"));
        }
    };
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status.success()),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::CHILD) => break None,
            Err(error) => return Err(error.to_string()),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer in {} s", PATIENCE.as_secs()));
            }
        }
    };
    // A helper may leave behind a child that keeps the pipe open.
    while !reader.is_finished() {
        if Instant::now() >= deadline {
            return Err(format!("no end of its answer in {} s", PATIENCE.as_secs()));
        }
        thread::sleep(Duration::from_millis(1));
    }
    match reader.join() {
        Ok(Ok(bytes)) => Ok((status, bytes)),
        _ => Err("its answer cannot be read".into()),
    }
}
