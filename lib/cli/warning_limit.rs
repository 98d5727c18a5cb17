//! Limits warnings of one kind: the first few are printed, the others counted and summed up at the end.
//!
//! An archive of a few kilobytes can provoke a warning for each of a million attributes. A kind is the place in the
//! source code that warns, so their number is bounded.

use std::collections::BTreeMap;
use std::sync::Mutex;

use log::Record;

use crate::sys::locked;

/// How many warnings of a kind are printed.
const TOLD: u64 = 10;

/// Where a warning is issued: file and line.
type Kind = (Option<&'static str>, Option<u32>);

/// How many warnings of a kind there were, and the last one that was printed.
#[derive(Debug, Default)]
struct Count {
    warnings: u64,
    last_told: String,
}

static COUNTS: Mutex<BTreeMap<Kind, Count>> = Mutex::new(BTreeMap::new());

/// Counts a warning; returns its text for printing if it is one of the first of its kind.
pub(super) fn admit(record: &Record<'_>) -> Option<String> {
    let mut counts = locked(&COUNTS);
    let count = counts.entry((record.file_static(), record.line())).or_default();
    count.warnings = count.warnings.saturating_add(1);
    if count.warnings > TOLD {
        return None;
    }
    let text = super::legible(&record.args().to_string());
    if count.warnings == TOLD {
        count.last_told.clone_from(&text);
    }
    Some(text)
}

/// A line for each kind of which not all were printed.
pub(super) fn summary(tool: &str) -> Vec<String> {
    let counts = locked(&COUNTS);
    let untold = counts.values().filter(|count| count.warnings > TOLD);
    let line = |count: &Count| {
        format!("{tool}: warning: and {} more like this one: {}", count.warnings - TOLD, count.last_told)
    };
    untold.map(line).collect()
}
