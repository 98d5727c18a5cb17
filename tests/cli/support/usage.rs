//! What filters cost, as the kernel counted it.

use std::fs;
use std::path::{Path, PathBuf};

use super::filter::{Filter, shell};
use super::tools;

/// Peak memory of filters inside a shell pipeline: write [`PeakMemory::of`] in front of a command.
pub struct PeakMemory {
    directory: PathBuf,
}

impl PeakMemory {
    pub fn new(directory: &Path) -> Self {
        tools::needs(&["time"]);
        Self { directory: directory.to_owned() }
    }

    /// The words that measure the command after them under `name`.
    pub fn of(&self, name: &str) -> String {
        let time = tools::find("time").expect("needs() found it");
        format!("{} -f %M -o '{}'", time.display(), self.file(name).display())
    }

    /// The peak resident memory, in KiB, of the command measured under `name`.
    pub fn kib(&self, name: &str) -> u64 {
        let text = fs::read_to_string(self.file(name)).expect("the measurement");
        text.trim().parse().unwrap_or_else(|_| panic!("time(1) wrote {text:?}"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("peak-{name}"))
    }
}

/// Seconds of processor time, user and system, of all processes of a shell pipeline that must succeed.
///
/// Unlike the time on the clock it hardly depends on what else the machine does.
#[track_caller]
pub fn processor_seconds(pipeline: &str, args: &[&Path]) -> f64 {
    tools::needs(&["bash"]);
    // Bash counts milliseconds; time(1) only hundredths.
    let script = format!("exec bash -c 'TIMEFORMAT=\"%3U %3S\"; time eval \"$0\"; exit $?' '{pipeline}' \"$0\" \"$@\"");
    let ran = args.iter().fold(shell(&script), Filter::arg).run().succeeds();
    let times: Vec<f64> = ran.stderr.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    assert_eq!(times.len(), 2, "not two times\n{}", ran.report());
    times.iter().sum()
}

/// The least costs of a small and a large job, in seconds of processor time, of eight alternating rounds: other tests may
/// be in the way of some.
pub fn least_costs(small: impl Fn() -> f64, large: impl Fn() -> f64) -> (f64, f64) {
    (0..8).fold((f64::INFINITY, f64::INFINITY), |least, _| (least.0.min(small()), least.1.min(large())))
}
