//! Many small checks on all processors.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Does `check` for these numbers, on all processors.
pub fn in_parallel(numbers: Range<u64>, check: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(numbers.start);
    let one = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return;
            }
            check(number);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(one);
        }
    });
}
