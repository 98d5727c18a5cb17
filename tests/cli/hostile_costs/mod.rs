//! What hostile inputs cost at one size and at four times that size: neither processor time nor peak memory may grow
//! more than five times (S5). Refused inputs count too: they cost until they are refused.

mod archives;
mod documents;
mod entries;
mod servers;
mod streams;
mod tars;

use std::fs;
use std::path::Path;

use crate::support::{Filter, needs, scratch, shell};

/// The most that four times as much may cost.
const RATIO: f64 = 5.0;
/// Costs below these are those of starting a process.
const SECONDS: f64 = 0.08;
const KIB: f64 = 8192.0;

const FLATTEN: &str = "oci-flatten -q -n";
const PACK: &str = "tar2ext4 -q -o image";

/// What a command took.
#[derive(Clone, Copy)]
struct Cost {
    /// Seconds of processor time.
    seconds: f64,
    /// KiB of peak memory.
    kib: f64,
}

impl Cost {
    fn min(self, other: Self) -> Self {
        Self { seconds: self.seconds.min(other.seconds), kib: self.kib.min(other.kib) }
    }
}

/// Runs what `prepare` makes in an empty directory of the size `n`, and of four times that size.
#[track_caller]
fn grows_in_proportion(name: &str, n: usize, prepare: impl Fn(&Path, usize) -> String) {
    let (few, many) = (scratch(), scratch());
    let commands = [(few.path(), prepare(few.path(), n)), (many.path(), prepare(many.path(), 4 * n))];
    let filter = commands[0].1.split(' ').find(|word| word.starts_with("oci-") || word.starts_with("tar2")).unwrap();
    let idle = cost(few.path(), &format!("{filter} --version"));
    let mut least = [Cost { seconds: f64::MAX, kib: f64::MAX }; 2];
    let mut ratios = (f64::MAX, f64::MAX);
    // Other tests may be in the way of some rounds.
    for _ in 0..8 {
        for (least, (directory, command)) in least.iter_mut().zip(&commands) {
            *least = least.min(cost(directory, command));
        }
        let ratio = |few: f64, many: f64, idle: f64, floor: f64| (many - idle) / (few - idle).max(floor);
        let [few, many] = least;
        let time = ratio(few.seconds, many.seconds, idle.seconds, SECONDS);
        ratios = (time, ratio(few.kib, many.kib, idle.kib, KIB));
        if ratios.0 <= RATIO && ratios.1 <= RATIO {
            break;
        }
    }
    let [few, many] = least;
    let line = format!(
        "{name}, {filter}: {:.2} s and {:.0} KiB at {n}, {:.2} s and {:.0} KiB at {}: {:.1} and {:.1} times",
        few.seconds,
        few.kib,
        many.seconds,
        many.kib,
        4 * n,
        ratios.0,
        ratios.1
    );
    println!("{line}");
    assert!(ratios.0 <= RATIO && ratios.1 <= RATIO, "{line}");
}

/// What a command takes; whether it succeeds does not matter, but a signal does.
#[track_caller]
fn cost(directory: &Path, command: &str) -> Cost {
    needs(&["time"]);
    let script = format!("cd \"$0\"; exec time -f '%U %S %M' -o measured {command} >/dev/null");
    let ran = Filter::arg(shell(&script), directory).env("HOME", directory).env("XDG_RUNTIME_DIR", directory).run();
    assert!(ran.status.code().is_some_and(|code| code < 2), "{}", ran.report());
    let text = fs::read_to_string(directory.join("measured")).unwrap();
    // Its last line; the one before says when the command failed.
    let numbers: Vec<f64> =
        text.lines().next_back().unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    Cost { seconds: numbers[0] + numbers[1], kib: numbers[2] }
}
