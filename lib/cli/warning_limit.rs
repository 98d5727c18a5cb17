//! Warnings of one kind: the first are told one by one, the others counted and summed up at the end.
//!
//! An archive of a few kilobytes can earn a warning for each of a million attributes. A kind is the place in the source that
//! warns, so that there are no more kinds than such places.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use log::Record;

/// How many warnings of a kind are told one by one.
const TOLD: u64 = 10;

/// Where a warning comes from: file and line.
type Kind = (Option<&'static str>, Option<u32>);

/// How many warnings of a kind there were, and the last one that was told.
#[derive(Debug, Default)]
struct Count {
    warnings: u64,
    last_told: String,
}

static COUNTS: Mutex<BTreeMap<Kind, Count>> = Mutex::new(BTreeMap::new());

/// Counts a warning; its text as it is to be told, if it is one of the first of its kind.
pub(super) fn admit(record: &Record<'_>) -> Option<String> {
    // Nothing in here is half-done when a thread panics.
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A line for each kind of which not all were told.
pub(super) fn summary(tool: &str) -> Vec<String> {
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let untold = counts.values().filter(|count| count.warnings > TOLD);
    let line = |count: &Count| {
        format!("{tool}: warning: and {} more like this one: {}", count.warnings - TOLD, count.last_told)
    };
    untold.map(line).collect()
}
