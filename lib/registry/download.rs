//! Blobs, over as many connections as it takes (R2).

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, RANGE};

use super::answer::Answer;
use super::retry::Attempts;
use super::{Cancel, Error, failure, url};
use crate::relay::PageBuffer;

/// Most bytes handed over at once: what the HTTP library reads from the network at once fits.
const BUFFER: usize = 512 << 10;

/// An attempt that came so many bytes further than all before it restores the further attempts.
const PROGRESS: u64 = 1 << 20;

/// A server that gives the rest in smaller parts than these is asked for the whole.
const SMALLEST_PART: u64 = 64 << 10;

/// What a sink can fail with.
type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Where a blob goes: it knows the blob's size and digest and how much of it has arrived.
pub trait BlobSink {
    /// Bytes of the whole blob.
    fn size(&self) -> u64;
    /// Bytes that have arrived.
    fn position(&self) -> u64;
    /// Adds what `buffer` holds; returns a buffer for the next bytes, of any state.
    ///
    /// # Errors
    /// When they cannot be stored.
    fn write(&mut self, buffer: PageBuffer) -> Result<PageBuffer, SinkError>;
    /// Throws away what has arrived.
    ///
    /// # Errors
    /// When that fails.
    fn restart(&mut self) -> Result<(), SinkError>;
    /// Whether all bytes are there and right.
    ///
    /// # Errors
    /// How they differ.
    fn verify(&mut self) -> Result<(), String>;
}

/// How a download is made.
pub(super) struct Download<'a> {
    /// How long it may take in all.
    pub patience: Option<Duration>,
    pub cancel: &'a Cancel,
    /// Asks for the blob with these headers.
    pub open: &'a dyn Fn(&HeaderMap) -> Result<Answer, Error>,
}

impl Download<'_> {
    /// Fills `sink` until it is whole and right.
    pub(super) fn run(&self, sink: &mut dyn BlobSink, mut attempts: Attempts) -> Result<(), Error> {
        // What an earlier run left is whole already, or as long but wrong.
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
                    // A server that cannot resume and breaks off here and there must not be asked for ever.
                    if sink.position().saturating_sub(farthest) >= PROGRESS {
                        attempts.progressed();
                    }
                    farthest = farthest.max(sink.position());
                    match attempts.after(error, self.cancel) {
                        // What it always says to a part it may not say to the whole.
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

    /// Asks once: for what is missing, or for the whole.
    fn attempt(&self, sink: &mut dyn BlobSink, part: bool, deadline: Option<Deadline>) -> Result<Attempt, Error> {
        let from = if part { sink.position() } else { 0 };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if part {
            // The last byte is known, and there are servers that know no open range.
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
                // A server may give less than it was asked for (RFC 9110, 15.3.7).
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
            // The connection may end as it likes behind the last byte of a part.
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
            // One piece more than none shows whether the server sends too much.
            let due = sink.size().saturating_sub(sink.position());
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let piece = match answer.chunk() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // All bytes are here, and their digest tells whether they are right: how the connection ends is no matter.
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

/// The moment, and how long it was to it.
type Deadline = (Instant, Duration);

/// What one attempt came to.
enum Attempt {
    /// The blob is whole and right.
    Whole,
    /// All of the part that the server gives has come, and more of the blob is due.
    Part,
    /// The server does not give a part of it, and says this.
    NoPart(Error),
}

/// Whether a server that answers a Range header so will give no part later either. One that is busy or broken may.
fn refuses_part(error: &Error) -> bool {
    matches!(error, Error::Status { code: 300..=407 | 409..=424 | 426..=428 | 430..=499 | 501 | 505.., .. })
}

/// First byte, last byte and total length of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let start = start.trim().parse().ok()?;
    // One that lies before the first is none.
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
