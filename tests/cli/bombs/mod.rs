//! Small inputs that claim or become something huge: bounded memory and time, a clear error or the right result (S5, I3).

mod documents;
mod tars;

use std::path::Path;

use crate::support::{Filter, Ran, needs, shell};

/// No filter may take more for a bomb that is no honest work.
const MEMORY_KIB: u64 = 64 << 10;
/// Seconds of processor time for the same. Bombs of real work state their own.
const SECONDS: f64 = 20.0;

/// A filter, and what it may cost.
struct Bomb<'a> {
    directory: &'a Path,
    memory_kib: u64,
    seconds: f64,
}

impl<'a> Bomb<'a> {
    fn in_directory(directory: &'a Path) -> Self {
        Self { directory, memory_kib: MEMORY_KIB, seconds: SECONDS }
    }

    /// Runs `command` of a shell, `$0` and so on being `args`, within the bounds.
    #[track_caller]
    fn run(&self, command: &str, args: &[&Path]) -> Ran {
        needs(&["time"]);
        // ulimit ends what runs away: it counts the processor time of one process in whole seconds.
        let limit = (self.seconds * 2.0).ceil();
        let script = format!("ulimit -t {limit}; exec time -f '%M %U %S' -o \"${}\" {command}", args.len());
        let measured = self.directory.join("measured");
        let ran = args.iter().fold(shell(&script), Filter::arg).arg(&measured).run();
        assert!(ran.status.code().is_some_and(|code| code < 128), "it took too long\n{}", ran.report());
        // Its last line; the one before says when the command failed.
        let text = std::fs::read_to_string(&measured).expect("the measurement");
        let numbers = text.lines().next_back().unwrap_or_default().split(' ');
        let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap_or_else(|_| panic!("{text:?}"))).collect();
        let (kib, seconds) = (numbers[0] as u64, numbers[1] + numbers[2]);
        println!("{command}: {kib} KiB, {seconds:.2} s of processor time");
        assert!(kib <= self.memory_kib, "{kib} KiB, {} are allowed\n{}", self.memory_kib, ran.report());
        assert!(seconds <= self.seconds, "{seconds} s, {} are allowed\n{}", self.seconds, ran.report());
        ran
    }
}
