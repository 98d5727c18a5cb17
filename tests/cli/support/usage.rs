//! What a filter cost: its peak memory and its processor time, as the kernel counted them.

use std::fs;
use std::path::{Path, PathBuf};

use super::tools;

/// The costs of one process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Peak resident memory in KiB.
    pub peak_kib: u64,
    /// User and system time in seconds.
    pub cpu: f64,
}

/// Measures filters inside a shell pipeline: write [`Meter::of`] in front of a command.
pub struct Meter {
    directory: PathBuf,
}

impl Meter {
    pub fn new(directory: &Path) -> Self {
        tools::needs(&["time"]);
        Self { directory: directory.to_owned() }
    }

    /// The words that measure the command after them under `name`.
    pub fn of(&self, name: &str) -> String {
        let time = tools::find("time").expect("needs() found it");
        format!("{} -f '%M %U %S' -o '{}'", time.display(), self.file(name).display())
    }

    /// What the command measured under `name` cost.
    pub fn read(&self, name: &str) -> Usage {
        let text = fs::read_to_string(self.file(name)).expect("the measurement");
        let numbers: Vec<f64> = text.lines().last().unwrap_or("").split(' ').filter_map(|n| n.parse().ok()).collect();
        assert_eq!(numbers.len(), 3, "time(1) wrote {text:?}");
        Usage { peak_kib: numbers[0] as u64, cpu: numbers[1] + numbers[2] }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("usage-{name}"))
    }
}
