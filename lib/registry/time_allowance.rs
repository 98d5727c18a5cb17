use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sys::locked;

/// How long several requests may take together: each may be in time, and all of them take for ever.
#[derive(Debug)]
pub(super) struct TimeAllowance {
    limit: Duration,
    spent: Mutex<Duration>,
}

impl TimeAllowance {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, spent: Mutex::default() }
    }

    /// Makes a request, whose time counts, unless the time is up: then returns the error that `up` makes of the limit.
    pub(super) fn spend<T, E>(
        &self,
        request: impl FnOnce() -> Result<T, E>,
        up: impl FnOnce(Duration) -> E,
    ) -> Result<T, E> {
        if *locked(&self.spent) >= self.limit {
            return Err(up(self.limit));
        }
        let since = Instant::now();
        let made = request();
        let mut spent = locked(&self.spent);
        *spent = spent.saturating_add(since.elapsed());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_spent_it_gets_no_more() {
        let slow = || {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        };
        let (ample, short) =
            (TimeAllowance::new(Duration::from_secs(3600)), TimeAllowance::new(Duration::from_millis(1)));
        for _ in 0..2 {
            assert_eq!(ample.spend(slow, |_| ()), Ok(()));
        }
        assert!(*locked(&ample.spent) >= Duration::from_millis(4));
        assert_eq!(short.spend(slow, |_| ()), Ok(()));
        assert_eq!(short.spend(|| Ok(()), |limit| limit), Err(Duration::from_millis(1)));
    }
}
