//! Running a filter, and saying in one sentence what it must have done.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::diff::{assert_bytes, assert_text};
use super::tools;

/// Where a filter's standard input comes from.
enum Input {
    Null,
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A filter about to be run. Nothing of the caller's environment that changes its behaviour reaches it.
pub struct Filter {
    command: Command,
    words: Vec<OsString>,
    input: Input,
    output: Option<PathBuf>,
}

impl Filter {
    pub fn oci_fetch() -> Self {
        Self::new(env!("CARGO_BIN_EXE_oci-fetch"))
    }

    pub fn oci_flatten() -> Self {
        Self::new(env!("CARGO_BIN_EXE_oci-flatten"))
    }

    pub fn tar2ext4() -> Self {
        Self::new(env!("CARGO_BIN_EXE_tar2ext4"))
    }

    /// Any tool of the system, failing the test when it is not installed.
    pub fn tool(name: &str) -> Self {
        tools::needs(&[name]);
        Self::new(tools::find(name).expect("needs() found it"))
    }

    /// A program by its path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        for name in
            ["SOURCE_DATE_EPOCH", "OCI_FLATTEN_CACHE", "RUST_LOG", "RUST_BACKTRACE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"]
        {
            command.env_remove(name);
        }
        Self { command, words: vec![program.as_ref().to_owned()], input: Input::Null, output: None }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.words.push(arg.as_ref().to_owned());
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Standard input from memory. Without one of the `stdin` calls it is `/dev/null`.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Standard input from a file.
    pub fn stdin_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input = Input::File(path.into());
        self
    }

    /// Standard output to a file; `Ran::stdout` stays empty.
    pub fn stdout_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Starts it; the caller waits, signals, or drops (which kills).
    pub fn spawn(mut self) -> Running {
        let (stdin, bytes) = match self.input {
            Input::Null => (Stdio::null(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::File(path) => {
                (File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into(), None)
            }
        };
        let stdout = match self.output {
            Some(path) => File::create(path).expect("output file").into(),
            None => Stdio::piped(),
        };
        let child = self.command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", spell(&self.words)));
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), bytes) {
            // A filter may rightly stop reading before its input ends; it is judged by its status.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        Running { child: Some(child), command: spell(&self.words) }
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(self) -> Ran {
        self.spawn().wait()
    }
}

/// Runs `script` with `sh -c`, as a user's pipeline: without pipefail, `$?` is the last filter's status.
///
/// The filters stand first on the path.
pub fn shell(script: &str) -> Filter {
    let filters = Path::new(env!("CARGO_BIN_EXE_tar2ext4")).parent().expect("a directory");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([filters.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
    Filter::new("/bin/sh").arg("-c").arg(script).env("PATH", path)
}

/// A filter that runs. Dropping it kills it.
pub struct Running {
    child: Option<Child>,
    command: String,
}

impl Running {
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().expect("still running"))
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        // It may have ended by itself in the meantime.
        let _ = rustix::process::kill_process(self.pid(), signal);
    }

    #[must_use]
    pub fn wait(mut self) -> Ran {
        let child = self.child.take().expect("still running");
        let output = child.wait_with_output().expect("wait");
        Ran {
            command: std::mem::take(&mut self.command),
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A filter that has ended, and what it left.
pub struct Ran {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    /// Exit status 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.status.success(), "should have succeeded\n{}", self.report());
        self
    }

    /// This exit status, and `text` somewhere in the messages.
    #[track_caller]
    pub fn fails_with(self, status: i32, text: &str) -> Self {
        assert!(self.status.code() == Some(status), "should have failed with status {status}\n{}", self.report());
        assert!(!self.stderr.contains("panicked at"), "panicked\n{}", self.report());
        self.says(text)
    }

    /// `text` somewhere in the messages.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no message says {text:?}\n{}", self.report());
        self
    }

    /// Not a word on stderr.
    #[track_caller]
    pub fn quiet(self) -> Self {
        assert!(self.stderr.is_empty(), "should have been quiet\n{}", self.report());
        self
    }

    /// Exactly one line on stderr, as rule S4 wants of every failure.
    #[track_caller]
    pub fn one_line(self) -> Self {
        let lines = self.stderr.lines().count();
        assert!(lines == 1, "should have said one line, not {lines}\n{}", self.report());
        self
    }

    /// This text on standard output, compared side by side.
    #[track_caller]
    pub fn stdout_is(self, expected: &str) -> Self {
        assert_text(&format!("stdout of {}", self.command), expected, &String::from_utf8_lossy(&self.stdout));
        self
    }

    /// These bytes on standard output.
    #[track_caller]
    pub fn stdout_is_bytes(self, expected: &[u8]) -> Self {
        assert_bytes(&format!("stdout of {}", self.command), expected, &self.stdout);
        self
    }

    /// This text on stderr, compared side by side.
    #[track_caller]
    pub fn stderr_is(self, expected: &str) -> Self {
        assert_text(&format!("stderr of {}", self.command), expected, &self.stderr);
        self
    }

    /// Standard output as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|_| panic!("stdout is not text\n{}", self.report()))
    }

    /// How it ended, for a failing test to print.
    pub fn report(&self) -> String {
        let status = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "unknown status".to_owned(),
        };
        let stdout = String::from_utf8_lossy(self.stdout.get(..2000).unwrap_or(&self.stdout));
        format!(
            "  command: {}\n  {status}, {} bytes on stdout\n--- stdout\n{stdout}\n--- stderr\n{}",
            self.command,
            self.stdout.len(),
            self.stderr
        )
    }
}

/// The command as one could type it.
fn spell(words: &[OsString]) -> String {
    let word = |word: &OsString| {
        let word = word.to_string_lossy();
        if word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c)) && !word.is_empty() {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
