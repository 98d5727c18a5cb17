//! A terminal, with a pipeline on it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use super::screen::Screen;

/// No pipeline here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pseudo-terminal whose lines of progress and messages are looked at.
pub struct Pty {
    master: OwnedFd,
    pub screen: Screen,
}

/// A script that runs on a [`Pty`]. Dropping it kills the shell.
pub struct Session {
    pty: Pty,
    child: Child,
    output: Receiver<Vec<u8>>,
}

impl Pty {
    pub fn new(columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let pty = Self { master, screen: Screen::new(columns.into()) };
        pty.set_columns(columns);
        pty
    }

    fn set_columns(&self, columns: u16) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
        assert_eq!(tcgetwinsize(&self.master).unwrap().ws_col, columns);
    }

    /// Runs `script` with `sh -c`, its errors on the terminal; `args` are `$0`, `$1`, ...
    pub fn run(self, script: &str, args: &[&Path]) -> Session {
        let name = ptsname(&self.master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        let filters = Path::new(env!("CARGO_BIN_EXE_tar2ext4")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([filters.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).args(args).env("PATH", path).env("TERM", "xterm");
        for name in ["SOURCE_DATE_EPOCH", "OCI_FLATTEN_CACHE", "RUST_LOG", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(terminal);
        let child = command.spawn().unwrap();
        // It has the last descriptor of the terminal: its end is that of the output.
        drop(command);
        let (sender, output) = channel();
        let mut master = File::from(self.master.try_clone().unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last one to close a terminal leaves EIO.
            while let Ok(len @ 1..) = master.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Session { pty: self, child, output }
    }
}

impl Session {
    /// Waits until the screen is as wanted; fails when the pipeline ends first.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Screen) -> bool) {
        let start = Instant::now();
        while !wanted(&self.pty.screen) {
            match self.output.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(bytes) => self.pty.screen.feed(&bytes),
                Err(_) => panic!("never {what}\n{}", self.pty.screen.text()),
            }
        }
    }

    /// Makes the terminal narrower, as its user may.
    pub fn narrow(&mut self, columns: u16) {
        self.pty.set_columns(columns);
        // What is under way may be as wide as before.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(500) {
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(50)) {
                self.pty.screen.feed(&bytes);
            }
        }
        self.pty.screen.resize(columns.into());
    }

    /// Waits for the end of all that runs on the terminal; what is seen then, and whether the shell succeeded.
    #[track_caller]
    pub fn end(mut self) -> (Screen, bool) {
        let start = Instant::now();
        loop {
            match self.output.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(bytes) => self.pty.screen.feed(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end\n{}", self.pty.screen.text()),
            }
        }
        let succeeded = self.child.wait().unwrap().success();
        let screen = std::mem::replace(&mut self.pty.screen, Screen::new(1));
        (screen, succeeded)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
