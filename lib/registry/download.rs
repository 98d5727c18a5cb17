//! Blobs, over as many connections as it takes (R2).

use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, RANGE};

use super::retry::Attempts;
use super::transport::{Answer, read_error};
use super::{Cancel, Error, url};
use crate::relay::PageBuffer;

/// Most bytes read at once: what the HTTP library reads from the network at once fits.
const BUFFER: usize = 512 << 10;

/// An attempt that came so many bytes further than all before it restores the further attempts.
const PROGRESS: u64 = 1 << 20;

/// What a sink can fail with.
type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Where a blob goes: it knows the blob's size and digest and how much of it has arrived.
pub trait Sink {
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
    pub timeout: Duration,
    pub cancel: &'a Cancel,
    /// Asks for the blob with these headers.
    pub open: &'a dyn Fn(&HeaderMap) -> Result<Answer, Error>,
    /// The error of an answer without success.
    pub error: &'a dyn Fn(Answer) -> Error,
}

impl Download<'_> {
    /// Fills `sink` until it is whole and right.
    pub(super) fn run(&self, sink: &mut dyn Sink, mut attempts: Attempts) -> Result<(), Error> {
        // What an earlier run left is whole already, or as long but wrong.
        if sink.position() == sink.size() {
            match sink.verify() {
                Ok(()) => return Ok(()),
                Err(what) => log::warn!("what an earlier run left is wrong, starting again: {what}"),
            }
            sink.restart()?;
        }
        let mut refetched = false;
        let mut ranges = true;
        let mut farthest = sink.position();
        loop {
            match self.attempt(sink, &mut ranges) {
                Ok(()) => return Ok(()),
                Err(Error::Wrong { url, what }) => {
                    // The bytes of an earlier run may be to blame, or those of this one: once more, from the start.
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
                    attempts.after(error, self.cancel)?;
                }
            }
        }
    }

    fn attempt(&self, sink: &mut dyn Sink, ranges: &mut bool) -> Result<(), Error> {
        if !*ranges {
            sink.restart()?;
        }
        let from = sink.position();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if from > 0 {
            let value = HeaderValue::from_str(&format!("bytes={from}-"));
            headers.insert(RANGE, value.map_err(|_| Error::Forbidden("no range".into()))?);
        }
        let mut answer = (self.open)(&headers)?;
        let shown = url::shown(&answer.url);
        match answer.response.status() {
            StatusCode::OK => {
                if from > 0 {
                    log::info!("{shown}: the server cannot resume, starting again");
                    sink.restart()?;
                }
            }
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.header("content-range").and_then(content_range);
                let fits = range.is_some_and(|(start, total)| start == from && total.is_none_or(|t| t == sink.size()));
                if from == 0 || !fits {
                    *ranges = false;
                    let what = "the server sent another range than was asked for".to_owned();
                    return Err(Error::Wrong { url: shown, what });
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                *ranges = false;
                let what = format!("the server has less than the {from} bytes that are here");
                return Err(Error::Wrong { url: shown, what });
            }
            status if status.is_success() => {
                let what = format!("answers {status} where a blob is due");
                return Err(Error::Protocol { url: shown, what });
            }
            _ => return Err((self.error)(answer)),
        }
        let encoding = answer.encoding();
        match self.copy(&mut answer, sink, &shown) {
            Err(Error::Wrong { url, what }) => Err(Error::Wrong { url, what: what + &encoding }),
            Err(Error::Transport { url, what, kind }) => Err(Error::Transport { url, what: what + &encoding, kind }),
            Err(other) => Err(other),
            Ok(()) => sink.verify().map_err(|what| Error::Wrong { url: shown, what: what + &encoding }),
        }
    }

    fn copy(&self, answer: &mut Answer, sink: &mut dyn Sink, shown: &str) -> Result<(), Error> {
        let mut buffer = PageBuffer::default();
        loop {
            // One byte more than none shows whether the server sends too much.
            let due = sink.size().saturating_sub(sink.position());
            let limit = usize::try_from(due).unwrap_or(BUFFER).clamp(1, BUFFER);
            buffer.reset(limit);
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let n = match buffer.read_from(&mut answer.response, limit) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(read_error(&answer.url, &e, self.timeout)),
            };
            if due < n as u64 {
                let what = format!("the server sent more than the {} bytes that are due", sink.size());
                return Err(Error::Wrong { url: shown.into(), what });
            }
            buffer = sink.write(buffer)?;
        }
        if sink.position() < sink.size() {
            let what = format!("the server sent {} of {} bytes", sink.position(), sink.size());
            return Err(Error::Transport { url: shown.into(), what, kind: super::error::Failure::Transient });
        }
        Ok(())
    }
}

/// First byte and total length of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    let total = match total.trim() {
        "*" => None,
        number => Some(number.parse().ok()?),
    };
    Some((start, total))
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "items 5-9/10", "bytes 5-9/x"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
