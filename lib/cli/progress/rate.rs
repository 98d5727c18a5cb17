//! Speed, measured over the last few seconds so that a stall shows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back to look.
const WINDOW: Duration = Duration::from_secs(5);

/// How many bytes had been moved when, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Bytes per second, when work that began at `since` has moved `moved` bytes by now.
    pub(super) fn at(&mut self, now: Instant, moved: u64, since: Instant) -> u64 {
        if self.0.back().is_some_and(|(then, before)| *before > moved || *then < since) {
            // The work started over.
            self.0.clear();
        } else if self.0.is_empty() {
            self.0.push_back((since, 0));
        }
        // Keep one older sample, so that there is always a whole window.
        while self.0.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, moved));
        let Some((then, before)) = self.0.front() else { return 0 };
        let millis = now.duration_since(*then).as_millis().max(1);
        let rate = u128::from(moved.saturating_sub(*before)) * 1000 / millis;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seconds_count() {
        let start = Instant::now();
        let mut rate = Rate::default();
        let mut at = |seconds, moved| rate.at(start + Duration::from_secs(seconds), moved, start);
        assert_eq!(at(1, 1000), 1000);
        assert_eq!(at(10, 10_000), 1000);
        assert_eq!(at(15, 10_000), 0, "a stall");
        assert_eq!(at(16, 5), 0, "begun again");
        assert_eq!(at(18, 2005), 1000);
    }
}
