//! Decides when to try again (R2).

use std::time::{Duration, SystemTime};

use super::error::ConnectFailure;
use super::{Cancel, Error};

/// The longest wait between two attempts, even if the server asks for more.
const LONGEST: Duration = Duration::from_secs(300);

/// The same for a mirror.
const LONGEST_AT_MIRROR: Duration = Duration::from_secs(2);

/// The attempts at one thing.
#[derive(Debug)]
pub(super) struct Attempts {
    retries: u32,
    left: u32,
    /// Whether it is a mirror, after which there is another source that may answer at once.
    mirror: bool,
    /// Whether a new signed address has been requested.
    renewed: bool,
}

impl Attempts {
    /// One attempt and `retries` more.
    pub(super) fn new(retries: u32) -> Self {
        Self { retries, left: retries, mirror: false, renewed: false }
    }

    /// Attempts at a mirror: at most one more, none if nobody answers, and no long wait.
    pub(super) fn at_mirror(retries: u32) -> Self {
        let retries = retries.min(1);
        Self { retries, left: retries, mirror: true, renewed: false }
    }

    /// The last attempt made progress: resets the number of further ones.
    pub(super) fn progressed(&mut self) {
        self.left = self.retries;
        self.renewed = false;
    }

    /// Uses up one further attempt without waiting; `false` if none is left.
    pub(super) fn take(&mut self) -> bool {
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }

    /// After `error`, waits and returns if another attempt is to be made, else returns the error.
    pub(super) fn after(&mut self, error: Error, cancel: &Cancel) -> Result<(), Error> {
        if error.may_have_expired() && !self.renewed {
            log::info!("{error}; asking for another address");
            self.renewed = true;
            return if cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) };
        }
        let Some(asked) = error.retry() else { return Err(error) };
        let done = self.retries - self.left;
        if !self.take() {
            return Err(error);
        }
        let wait =
            asked.map_or_else(|| backoff(done), |asked| asked.saturating_add(jitter(Duration::from_millis(250))));
        let longest = if self.mirror { LONGEST_AT_MIRROR } else { LONGEST };
        let nobody = matches!(&error, Error::Transport { kind: ConnectFailure::NotTls | ConnectFailure::Silent, .. });
        if wait > longest || (self.mirror && nobody) {
            return Err(error);
        }
        log::warn!("{error}; trying again in {:.1} s, {} of {}", wait.as_secs_f64(), done + 1, self.retries);
        if cancel.wait(wait) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Half a second, doubled with every attempt up to half a minute, and randomised down to half of that.
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
        // A number that does not fit is as good as for ever.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        for past in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after(past), Some(Duration::ZERO), "{past}");
        }
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(retry_after(&soon).is_some_and(|wait| (50..=60).contains(&wait.as_secs())), "{soon}");
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
        let nobody = Error::Transport { url: String::new(), what: String::new(), kind: ConnectFailure::Silent };
        assert!(Attempts::at_mirror(5).after(nobody, &cancel).is_err());
        let mut attempts = Attempts::at_mirror(5);
        assert!(attempts.after(asking(Duration::ZERO), &cancel).is_ok());
        assert!(attempts.after(asking(Duration::ZERO), &cancel).is_err());
    }
}
