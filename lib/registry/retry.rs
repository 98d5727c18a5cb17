//! When to try again (R2).

use std::time::{Duration, SystemTime};

use super::error::Failure;
use super::{Cancel, Error};

/// The longest time between two attempts that is waited, also when the server asks for more.
const LONGEST: Duration = Duration::from_secs(300);

/// The same at a mirror.
const LONGEST_AT_MIRROR: Duration = Duration::from_secs(2);

/// Attempts at one thing.
#[derive(Debug)]
pub(super) struct Attempts {
    retries: u32,
    left: u32,
    /// Behind this place stands another one, which may answer at once.
    mirror: bool,
}

impl Attempts {
    /// One attempt and so many more.
    pub(super) fn new(retries: u32) -> Self {
        Self { retries, left: retries, mirror: false }
    }

    /// Attempts at a mirror: one more at most, none where nobody answers, and no long wait.
    pub(super) fn at_mirror(retries: u32) -> Self {
        let retries = retries.min(1);
        Self { retries, left: retries, mirror: true }
    }

    /// The last attempt got somewhere: all further ones are there again.
    pub(super) fn progressed(&mut self) {
        self.left = self.retries;
    }

    /// Takes one of the further attempts without waiting; `false` when none is left.
    pub(super) fn take(&mut self) -> bool {
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }

    /// After `error`: waits and returns, so that another attempt is made; or gives the error back.
    pub(super) fn after(&mut self, error: Error, cancel: &Cancel) -> Result<(), Error> {
        let Some(asked) = error.retry() else { return Err(error) };
        let done = self.retries - self.left;
        if !self.take() {
            return Err(error);
        }
        let wait =
            asked.map_or_else(|| backoff(done), |asked| asked.saturating_add(jitter(Duration::from_millis(250))));
        let longest = if self.mirror { LONGEST_AT_MIRROR } else { LONGEST };
        let nobody = matches!(&error, Error::Transport { kind: Failure::NotTls | Failure::Silent, .. });
        if wait > longest || (self.mirror && nobody) {
            return Err(error);
        }
        log::warn!("{error}; trying again in {:.1} s, {} of {}", wait.as_secs_f64(), done + 1, self.retries);
        match cancel.wait(wait) {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

/// Half a second, doubled with every attempt up to half a minute; of it a random part between a half and the whole.
fn backoff(done: u32) -> Duration {
    let full = Duration::from_millis(500).saturating_mul(1 << done.min(6)).min(Duration::from_secs(30));
    full / 2 + jitter(full / 2)
}

fn jitter(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More than the type holds is as good as for ever.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(http_date(value)?.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of date that servers send today.
fn http_date(text: &str) -> Option<u64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)?;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next()? != "GMT" || day == 0 || day > 31 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days = years + lengths[..month].iter().sum::<u64>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        for bad in
            ["", "-1", "soon", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"]
        {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        for done in 0..40 {
            let wait = backoff(done);
            assert!(wait <= Duration::from_secs(30) && wait >= Duration::from_millis(250), "{done}: {wait:?}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let status = |code| Error::Status {
            url: String::new(),
            status: String::new(),
            code,
            message: None,
            retry_after: Some(Duration::ZERO),
            redirected: false,
        };
        let cancel = Cancel::default();
        let mut attempts = Attempts::new(1);
        assert!(attempts.after(status(404), &cancel).is_err());
        assert!(attempts.after(status(503), &cancel).is_ok());
        assert!(attempts.after(status(503), &cancel).is_err());
        attempts.progressed();
        cancel.cancel();
        assert!(matches!(attempts.after(status(429), &cancel), Err(Error::Cancelled)));
    }

    #[test]
    fn a_mirror_is_not_waited_for() {
        let asking = |wait| Error::Status {
            url: String::new(),
            status: String::new(),
            code: 503,
            message: None,
            retry_after: Some(wait),
            redirected: false,
        };
        let cancel = Cancel::default();
        assert!(Attempts::at_mirror(5).after(asking(Duration::from_secs(10)), &cancel).is_err());
        assert!(Attempts::new(5).after(asking(Duration::MAX), &cancel).is_err());
        let nobody = Error::Transport { url: String::new(), what: String::new(), kind: Failure::Silent };
        assert!(Attempts::at_mirror(5).after(nobody, &cancel).is_err());
        let mut attempts = Attempts::at_mirror(5);
        assert!(attempts.after(asking(Duration::ZERO), &cancel).is_ok());
        assert!(attempts.after(asking(Duration::ZERO), &cancel).is_err());
    }
}
