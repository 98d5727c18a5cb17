//! Downloads blobs, over as many connections as it takes (R2).

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, RANGE};

use super::answer::Answer;
use super::retry::Attempts;
use super::{Cancel, Error, failure, url};
use crate::relay::PageBuffer;

/// The most bytes passed on at once: what the HTTP library reads from the network at once fits.
const BUFFER: usize = 512 << 10;

/// An attempt that gets this many bytes further than all earlier ones resets the number of attempts.
const PROGRESS: u64 = 1 << 20;

/// A server that sends the rest in smaller parts than this is asked for the whole blob.
const SMALLEST_PART: u64 = 64 << 10;

/// The error of a sink.
type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// The destination of a blob, which knows its size and digest and how much of it has arrived.
pub trait BlobSink {
    /// The size of the whole blob in bytes.
    fn size(&self) -> u64;
    /// How many bytes have arrived.
    fn position(&self) -> u64;
    /// Appends the content of `buffer`; returns a buffer to reuse, in any state.
    ///
    /// # Errors
    /// When the bytes cannot be stored.
    fn write(&mut self, buffer: PageBuffer) -> Result<PageBuffer, SinkError>;
    /// Discards what has arrived.
    ///
    /// # Errors
    /// When that fails.
    fn restart(&mut self) -> Result<(), SinkError>;
    /// Checks that all bytes are there and correct.
    ///
    /// # Errors
    /// What is wrong.
    fn verify(&mut self) -> Result<(), String>;
}

/// How to make a download.
pub(super) struct Download<'a> {
    /// How long it may take altogether.
    pub patience: Option<Duration>,
    pub cancel: &'a Cancel,
    /// Requests the blob with these headers.
    pub open: &'a dyn Fn(&HeaderMap) -> Result<Answer, Error>,
}

impl Download<'_> {
    /// Fills `sink` until the blob is complete and correct.
    pub(super) fn run(&self, sink: &mut dyn BlobSink, mut attempts: Attempts) -> Result<(), Error> {
        // What an earlier run left may be complete already, or have the right size but be wrong.
        if sink.position() == sink.size() {
            match sink.verify() {
                Ok(()) => return Ok(()),
                Err(what) => log::warn!("what an earlier run left is wrong, starting again: {what}"),
            }
            sink.restart()?;
        }
        let deadline = self.patience.map(|patience| (Instant::now() + patience, patience));
        let mut refetched = false;
        let mut parts = true;
        let mut farthest = sink.position();
        loop {
            let asks_for_part = parts && sink.position() > 0;
            match self.attempt(sink, asks_for_part, deadline) {
                Ok(Attempt::Whole) => return Ok(()),
                Ok(Attempt::Part) => farthest = farthest.max(sink.position()),
                Ok(Attempt::NoPart(why)) => {
                    log::info!("{why}: no part is to be had, asking for the whole");
                    parts = false;
                }
                Err(Error::Wrong { url, what }) => {
                    sink.restart()?;
                    if refetched || !attempts.take() {
                        return Err(Error::Wrong { url, what });
                    }
                    log::warn!("{url}: {what}; starting again");
                    refetched = true;
                    farthest = 0;
                }
                Err(error) => {
                    // A server that cannot resume and keeps breaking off must not be asked for ever.
                    if sink.position().saturating_sub(farthest) >= PROGRESS {
                        attempts.progressed();
                    }
                    farthest = farthest.max(sink.position());
                    match attempts.after(error, self.cancel) {
                        // What it always answers to a part, it may not answer to the whole.
                        Err(error @ Error::Status { .. }) if asks_for_part => {
                            log::info!("{error}: asking for the whole");
                            parts = false;
                        }
                        other => other?,
                    }
                }
            }
        }
    }

    /// Makes one request: for the rest, or for the whole blob.
    fn attempt(&self, sink: &mut dyn BlobSink, part: bool, deadline: Option<Deadline>) -> Result<Attempt, Error> {
        let from = if part { sink.position() } else { 0 };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if part {
            // Give the last byte, because some servers do not support open ranges.
            let value = HeaderValue::from_str(&format!("bytes={from}-{}", sink.size().saturating_sub(1)));
            headers.insert(RANGE, value.map_err(|_| Error::Forbidden("no range".into()))?);
        }
        let mut answer = match (self.open)(&headers) {
            Err(error) if part && refuses_part(&error) => return Ok(Attempt::NoPart(error)),
            other => other?,
        };
        let shown = url::shown(&answer.url);
        let mut until = sink.size();
        match answer.status() {
            StatusCode::OK => {
                if part {
                    log::info!("{shown}: the server cannot resume, starting again");
                }
                if sink.position() > 0 {
                    sink.restart()?;
                }
            }
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.header("content-range").and_then(content_range);
                if range.is_none_or(|(start, _, total)| start != from || total.is_some_and(|t| t != sink.size())) {
                    let what = "the server sent another range than was asked for".to_owned();
                    let error = Error::Wrong { url: shown, what };
                    return if part { Ok(Attempt::NoPart(error)) } else { Err(error) };
                }
                if !part && sink.position() > 0 {
                    sink.restart()?;
                }
                // A server may send less than requested (RFC 9110, 15.3.7).
                if let Some((_, Some(last), _)) = range.filter(|_| part) {
                    until = until.min(last.saturating_add(1));
                }
            }
            status if status.is_success() => {
                let what = format!("answers {status} where a blob is due");
                let error = Error::Protocol { url: shown, what };
                return if part { Ok(Attempt::NoPart(error)) } else { Err(error) };
            }
            _ => {
                let error = answer.into_error();
                return if part && refuses_part(&error) { Ok(Attempt::NoPart(error)) } else { Err(error) };
            }
        }
        let encoding = answer.encoding();
        if until < sink.size() && until.saturating_sub(from) < SMALLEST_PART {
            let what = format!("the server gives parts of {} bytes", until.saturating_sub(from));
            return Ok(Attempt::NoPart(Error::Wrong { url: shown, what }));
        }
        match self.copy(&mut answer, sink, &shown, deadline) {
            // After the last byte of a part, the connection may end in any way.
            Ok(()) | Err(Error::Transport { .. }) if until < sink.size() && sink.position() == until => {
                Ok(Attempt::Part)
            }
            Err(Error::Wrong { url, what }) => Err(Error::Wrong { url, what: what + &encoding }),
            Err(Error::Transport { url, what, kind }) => Err(Error::Transport { url, what: what + &encoding, kind }),
            Err(other) => Err(other),
            Ok(()) => match sink.verify() {
                Ok(()) => Ok(Attempt::Whole),
                Err(what) => Err(Error::Wrong { url: shown, what: what + &encoding }),
            },
        }
    }

    fn copy(
        &self,
        answer: &mut Answer,
        sink: &mut dyn BlobSink,
        shown: &str,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let mut buffer = PageBuffer::default();
        loop {
            // Reading on when nothing is due shows whether the server sends too much.
            let due = sink.size().saturating_sub(sink.position());
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let piece = match answer.chunk() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // All bytes have arrived, and the digest will tell whether they are correct: ignore how the connection
                // ends.
                Err(error) if due == 0 => {
                    log::debug!("an unclean end: {error}");
                    break;
                }
                Err(error) => return Err(error),
            };
            if due < piece.len() as u64 {
                let what = format!("the server sent more than the {} bytes that are due", sink.size());
                return Err(Error::Wrong { url: shown.into(), what });
            }
            if let Some((_, patience)) = deadline.filter(|(at, _)| Instant::now() > *at) {
                return Err(failure::slow(&answer.url, patience));
            }
            for part in piece.chunks(BUFFER) {
                buffer.reset(part.len().next_power_of_two());
                buffer.push(part);
                buffer = sink.write(buffer)?;
            }
        }
        if sink.position() < sink.size() {
            let what = format!("the server sent {} of {} bytes", sink.position(), sink.size());
            return Err(Error::Transport { url: shown.into(), what, kind: super::error::ConnectFailure::Transient });
        }
        Ok(())
    }
}

/// The moment, and the time that was allowed.
type Deadline = (Instant, Duration);

/// The outcome of an attempt.
enum Attempt {
    /// The blob is complete and correct.
    Whole,
    /// The part that the server chose to send is complete, and more of the blob is due.
    Part,
    /// The server does not send parts; this is its answer.
    NoPart(Error),
}

/// Whether a server that answers a Range header like this will never send a part; one that is busy or broken may do so
/// later.
fn refuses_part(error: &Error) -> bool {
    matches!(error, Error::Status { code: 300..=407 | 409..=424 | 426..=428 | 430..=499 | 501 | 505.., .. })
}

/// Parses first byte, last byte and total length of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let start = start.trim().parse().ok()?;
    // A last byte before the first is ignored.
    let last = last.trim().parse().ok().filter(|last| *last >= start);
    let total = match total.trim() {
        "*" => None,
        number => Some(number.parse().ok()?),
    };
    Some((start, last, total))
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(9), Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, Some(9), None)));
        assert_eq!(content_range("bytes 5-4/10"), Some((5, None, Some(10))));
        assert_eq!(content_range("bytes 5-/10"), Some((5, None, Some(10))));
        for bad in ["", "bytes", "bytes */10", "items 5-9/10", "bytes 5-9/x"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
