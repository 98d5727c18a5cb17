//! A server's answer: its headers, its body in pieces or whole, and its own words about an error.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Response, StatusCode};

use super::destination::Referrer;
use super::failure;
use super::runtime::Runtime;
use super::secret::{CUT, scrub_also};
use super::url::{self, Url};
use super::{Error, retry, scrub};
use crate::image::beginning::beginning;

/// How many bytes of a server's error text are read, and how many characters of it are shown.
const MAX_ERROR_BODY: usize = 64 << 10;
const MAX_MESSAGE: usize = 400;

/// An answer and its origin.
#[derive(Debug)]
pub(super) struct Answer {
    pub response: Response,
    /// The final address, after redirects.
    pub url: Url,
    /// Whether a redirect led there.
    pub followed: bool,
    /// Whether a redirect led to another host.
    pub redirected: bool,
    /// The server that was asked.
    pub sender: Referrer,
    pub(super) runtime: Arc<Runtime>,
    /// The longest time to wait for the next piece of the body.
    pub(super) silence: Duration,
}

/// A body that was read to its end, clean or not.
pub(super) struct AnswerBody {
    /// The bytes as they came.
    bytes: Vec<u8>,
    /// The same, decompressed, if the server used an encoding that was not requested.
    decoded: Option<Vec<u8>>,
    end: Result<(), Error>,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body; `None` at its end.
    pub(super) fn chunk(&mut self) -> Result<Option<impl Deref<Target = [u8]> + use<>>, Error> {
        match self.runtime.wait(self.silence, self.response.chunk()) {
            Some(piece) => piece.map_err(|error| failure::broken_off(&self.url, &error)),
            None => Err(failure::stalled(&self.url, self.silence)),
        }
    }

    /// Reads a body of at most `max` bytes, for at most `patience`.
    pub(super) fn body(mut self, max: u64, patience: Duration) -> Result<AnswerBody, Error> {
        let shown = url::shown(&self.url);
        let long = || Error::Protocol { url: shown.clone(), what: format!("the answer is longer than {max} bytes") };
        if self.response.content_length().is_some_and(|length| length > max) {
            return Err(long());
        }
        let deadline = Instant::now() + patience;
        let mut bytes = Vec::new();
        let end = loop {
            let piece = match self.chunk() {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if (bytes.len() + piece.len()) as u64 > max {
                return Err(long());
            }
            bytes.extend_from_slice(&piece);
            if Instant::now() > deadline {
                return Err(failure::slow(&self.url, patience));
            }
        };
        let decoded = match self.encoded() {
            Some(name) if ["gzip", "x-gzip"].iter().any(|gzip| name.eq_ignore_ascii_case(gzip)) => gunzip(&bytes, max),
            _ => None,
        };
        Ok(AnswerBody { bytes, decoded, end })
    }

    /// The value of a header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    fn encoded(&self) -> Option<&str> {
        let value = self.headers().get(CONTENT_ENCODING)?.to_str().ok()?;
        Some(value.trim()).filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
    }

    /// An addition to the message that the bytes are wrong: an encoding that was not requested is the likely cause. Correct
    /// bytes are accepted whatever the header says, since some blob stores set it for every file that is compressed.
    pub(super) fn encoding(&self) -> String {
        // What is cut within a secret would not be known for one.
        let named = self.encoded().map(|name| beginning(&scrub(name), 20));
        named.map(|name| format!(" (sent with Content-Encoding {name}, which was not asked for)")).unwrap_or_default()
    }

    /// Turns an unsuccessful answer into an error.
    pub(super) fn into_error(mut self) -> Error {
        let status = self.status();
        let retry_after = self.header("retry-after").and_then(retry::retry_after);
        let (url, redirected) = (url::shown(&self.url), self.redirected);
        let message = message(&self.body_start()).map(|text| beginning(&self.scrub(&text), MAX_MESSAGE));
        let status_text = match status.canonical_reason() {
            Some(reason) => format!("{} {reason}", status.as_u16()),
            None => status.as_u16().to_string(),
        };
        Error::Status { url, status: status_text, code: status.as_u16(), message, retry_after, redirected }
    }

    /// Removes from this server's words what it may repeat: secrets, and the signature in the query of an address that
    /// another server made for us.
    fn scrub(&self, text: &str) -> String {
        /// How many values are taken for such, and how long the shortest is.
        const MOST: usize = 32;
        const SHORTEST: usize = 8;
        let query = self.url.query_pairs().filter(|_| self.followed);
        let values = query.map(|(name, value)| if value.is_empty() { name } else { value });
        scrub_also(text, values.filter(|value| value.len() >= SHORTEST).take(MOST).map(Cow::into_owned))
    }

    fn body_start(&mut self) -> Vec<u8> {
        // The text of an error is a bonus: whatever arrives is enough, and it may not take long.
        let deadline = Instant::now() + self.silence;
        let mut bytes = Vec::new();
        while bytes.len() < MAX_ERROR_BODY && Instant::now() < deadline {
            match self.chunk() {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) if bytes.len() <= MAX_ERROR_BODY => return bytes,
                Ok(None) | Err(_) => break,
            }
        }
        bytes.truncate(MAX_ERROR_BODY);
        if !bytes.is_empty() {
            bytes.extend_from_slice(CUT.as_bytes());
        }
        bytes
    }
}

impl AnswerBody {
    /// The bytes, as sent or decompressed, if they are `right`. Then they are complete, however the connection ended.
    ///
    /// # Errors
    /// Why the body broke off, else `wrong` of the bytes.
    pub(super) fn right(
        self,
        right: impl Fn(&[u8]) -> bool,
        wrong: impl FnOnce(&[u8]) -> Error,
    ) -> Result<Vec<u8>, Error> {
        if right(&self.bytes) {
            return Ok(self.bytes);
        }
        match (self.decoded.filter(|decoded| right(decoded)), self.end) {
            (Some(decoded), _) => Ok(decoded),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(wrong(&self.bytes)),
        }
    }
}

/// Decompresses `bytes`, if they are gzip and the result is not longer than `max`.
fn gunzip(bytes: &[u8], max: u64) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(max.saturating_add(1));
    reader.read_to_end(&mut decoded).ok().filter(|read| *read as u64 <= max)?;
    Some(decoded)
}

/// The server's own words: the error list of the distribution spec, the fields of OAuth2, else any text that is not HTML.
fn message(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct ServerError {
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<ServerError>,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        error_description: Option<String>,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }
    if let Ok(found) = serde_json::from_slice::<Errors>(body) {
        let join = |parts: [Option<String>; 2]| {
            parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
        };
        let mut texts: Vec<String> = found.errors.into_iter().map(|e| join([e.code, e.message])).collect();
        texts.push(join([found.error, found.error_description.or(found.details).or(found.message)]));
        texts.retain(|text| !text.is_empty());
        return Some(texts.join("; ")).filter(|text| !text.is_empty());
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    (!text.is_empty() && !text.starts_with('<')).then(|| text.to_owned())
}
