//! Filters that run as a pipeline, each a child of the test, so that every status is known and each can be signalled.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No pipeline of these tests needs so long, on the busiest machine.
const HANGS: Duration = Duration::from_secs(120);

/// Filters from left to right.
pub struct Pipeline(Vec<Child>);

/// How they ended.
pub struct Outcome {
    pub statuses: Vec<ExitStatus>,
    /// What each had to say.
    pub said: Vec<String>,
}

impl Pipeline {
    /// Starts all of them; the first reads `input`, or `/dev/null`.
    pub fn spawn(commands: Vec<Command>, input: Option<Vec<u8>>) -> Self {
        let last = commands.len() - 1;
        let mut children: Vec<Child> = Vec::new();
        for (number, mut command) in commands.into_iter().enumerate() {
            let stdin = match children.last_mut() {
                Some(before) => before.stdout.take().expect("a pipe").into(),
                None if input.is_some() => Stdio::piped(),
                None => Stdio::null(),
            };
            let stdout = if number == last { Stdio::null() } else { Stdio::piped() };
            let child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn();
            children.push(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        }
        if let (Some(input), Some(mut pipe)) = (input, children[0].stdin.take()) {
            // Who fails may stop reading.
            thread::spawn(move || pipe.write_all(&input));
        }
        Self(children)
    }

    /// Sends `signal` to one of them; false when it has ended already.
    pub fn signal(&mut self, number: usize, signal: Signal) -> bool {
        let child = &mut self.0[number];
        let running = child.try_wait().expect("wait").is_none();
        running && kill_process(Pid::from_child(child), signal).is_ok()
    }

    /// Waits for all of them; none may hang.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let start = Instant::now();
        for number in 0..self.0.len() {
            while self.0[number].try_wait().expect("wait").is_none() {
                assert!(start.elapsed() < HANGS, "filter {number} hangs");
                thread::sleep(Duration::from_millis(1));
            }
        }
        let mut outcome = Outcome { statuses: Vec::new(), said: Vec::new() };
        for child in &mut self.0 {
            let mut said = Vec::new();
            child.stderr.take().expect("a pipe").read_to_end(&mut said).expect("stderr");
            outcome.said.push(String::from_utf8_lossy(&said).into_owned());
            outcome.statuses.push(child.wait().expect("wait"));
        }
        outcome
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Outcome {
    /// What a shell without pipefail would report.
    pub fn last(&self) -> ExitStatus {
        *self.statuses.last().expect("a filter")
    }

    /// Each filter ended by 0, by 1 with at most a few words, or by a signal that `killed` names.
    #[track_caller]
    pub fn is_sane(&self, killed: Option<usize>) {
        for (number, status) in self.statuses.iter().enumerate() {
            let by_signal = killed == Some(number) && status.signal().is_some();
            assert!(by_signal || matches!(status.code(), Some(0 | 1)), "filter {number}: {status}\n{}", self.report());
        }
        assert!(!self.said.iter().any(|said| said.contains("panicked")), "{}", self.report());
        assert!(self.said.iter().all(|said| said.len() < 4096), "a long story\n{}", self.report());
    }

    pub fn report(&self) -> String {
        let filters = self.statuses.iter().zip(&self.said);
        filters.map(|(status, said)| format!("  {status}: {said}\n")).collect()
    }
}
