//! Faults of every kind, at random moments and places, and what must hold after each (S1, S2, S3).
//!
//! A fault hits one run of the pipeline. Whatever it was: the last filter's status is not 0, the old target is there
//! byte for byte, nothing is left but what a later run resumes, no process lives on, and a second run succeeds with the
//! bytes that a run without a fault gives. A fault that comes when the work is done changes nothing: then the target
//! must be the whole new one, and the fault does not count.
//!
//! Each test has a short form for `make check` and a long one for `make check-full`; both print what they did and with
//! which seed. `FAULT_SEED=N` repeats a run.

mod calls_of_pipelines;
mod full_disks;
mod io_errors;
mod kills;
mod misbehaving;
mod pipeline;
mod read_only;
mod runtime;
mod scene;
mod system_calls;
mod truncations;

use std::collections::BTreeMap;
use std::fmt;

pub use pipeline::{Outcome, Pipeline};
pub use scene::{Scene, Source};

/// The random moments and places of one test, printed so that a failure can be repeated.
fn random(test: &str) -> fastrand::Rng {
    let given = std::env::var("FAULT_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("FAULT_SEED is a number"));
    println!("{test}: FAULT_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// What a test did, for its report.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.0.values().sum();
        write!(f, "{all} faults:")?;
        self.0.iter().try_for_each(|(what, count)| write!(f, " {count} {what};"))
    }
}
