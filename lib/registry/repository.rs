//! The repository of an image, wherever it can be found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

use super::answer::Answer;
use super::credentials;
use super::download::{BlobSink, Download};
use super::endpoint::Endpoint;
use super::error::ConnectFailure;
use super::mirrors;
use super::registries_conf::Pull;
use super::retry::Attempts;
use super::time_allowance::TimeAllowance;
use super::transport::{Request, Transport};
use super::{Cancel, Error, Options, failure, url};
use crate::image::{Descriptor, Digest, MAX_DOCUMENT, Reference, media_type};

/// All documents of an image together may take as long as so many that are as slow as they may be. An index can lead
/// through hundreds.
const SLOW_DOCUMENTS: u32 = 4;

/// The most addresses of a foreign layer that are tried. A document has room for hundreds of thousands, each of which may
/// be silent.
const MAX_ADDRESSES: usize = 8;

/// A repository with its mirrors.
pub struct Repository {
    sources: Vec<Source>,
    transport: Arc<Transport>,
    options: Options,
    cancel: Arc<Cancel>,
    /// The time for all documents.
    documents: TimeAllowance,
}

struct Source {
    endpoint: Endpoint,
    /// It did not answer: later requests skip it.
    down: AtomicBool,
}

/// A document as the registry sent it, verified if its digest was known.
#[derive(Debug)]
pub struct FetchedManifest {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The media type, according to the registry.
    pub media_type: Option<String>,
    /// Its digest: the one stated by the registry, if correct, else the SHA-256.
    pub digest: Digest,
}

impl Repository {
    /// The repository of `reference`; nothing is sent yet.
    ///
    /// # Errors
    /// When `registries.conf` is invalid or blocks the registry.
    pub fn new(reference: &Reference, options: &Options, cancel: &Arc<Cancel>) -> Result<Self, Error> {
        credentials::authfile(options)?;
        let places = mirrors::locations(reference, options.timeout)?;
        let transport = Arc::new(Transport::new(options.clone(), places.iter().map(mirrors::Location::host))?);
        let by_digest = reference.digest.is_some();
        let places = places.into_iter().filter(|place| match place.pull {
            Pull::All => true,
            Pull::DigestOnly => by_digest,
            Pull::TagOnly => !by_digest,
        });
        let source = |place: mirrors::Location| Source {
            endpoint: Endpoint::new(&place, options, &transport),
            down: AtomicBool::new(false),
        };
        let sources = places.map(source).collect();
        let documents = TimeAllowance::new(transport.document_patience().saturating_mul(SLOW_DOCUMENTS));
        Ok(Self { sources, transport, options: options.clone(), cancel: cancel.clone(), documents })
    }

    /// Asks for the digest of what a tag points at, with one HEAD request; `None` if the registry does not state it.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub fn head(&self, tag: &str) -> Result<Option<Digest>, Error> {
        let found = self.each(|endpoint, attempts| {
            self.attempts(attempts, || {
                let answer = endpoint.request(&Method::HEAD, &format!("manifests/{tag}"), &accept())?;
                match answer.status() {
                    status if status.is_success() => Ok(content_digest(&answer)),
                    // Servers that do not support the method answer in many ways; GET has its own attempts.
                    status if status.is_server_error() => Ok(None),
                    _ => Err(answer.into_error()),
                }
            })
        });
        match found {
            // GET will give a better error, or succeed.
            Err(Error::Status { code: 400..=499, .. }) => Ok(None),
            other => other,
        }
    }

    /// Fetches the index or manifest that a tag points at. The digest stated by the registry is only a hint: the tag
    /// stands for whatever comes.
    ///
    /// # Errors
    /// When it cannot be fetched or is too long.
    pub fn manifest_by_tag(&self, tag: &str) -> Result<FetchedManifest, Error> {
        self.each(|endpoint, attempts| {
            self.attempts(attempts, || {
                let answer = self.manifest(endpoint, tag)?;
                let (stated, shown) = (content_digest(&answer), url::shown(&answer.url));
                let media_type = answer.header("content-type").map(str::to_owned);
                let is_stated = |bytes: &[u8]| stated.as_ref().is_some_and(|d| Digest::of(d.algorithm(), bytes) == *d);
                // A JSON document shows by itself whether it is complete.
                let is_whole = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
                let encoding = answer.encoding();
                let body = answer.body(MAX_DOCUMENT, self.transport.document_patience())?;
                let bytes = body.right(
                    |bytes| is_stated(bytes) || is_whole(bytes),
                    |_| Error::Protocol { url: shown.clone(), what: format!("is no document of JSON{encoding}") },
                )?;
                if let Some(digest) = stated.clone().filter(|_| is_stated(&bytes)) {
                    return Ok(FetchedManifest { bytes, media_type, digest });
                }
                let found = Digest::sha256(&bytes);
                if let Some(stated) = &stated {
                    log::warn!("{shown}: the registry calls it {stated}, its digest is {found}");
                }
                Ok(FetchedManifest { bytes, media_type, digest: found })
            })
        })
    }

    /// Fetches an index or manifest by its digest and verifies it.
    ///
    /// # Errors
    /// When it cannot be fetched, is too long, or does not match its digest.
    pub fn manifest_by_digest(&self, wanted: &Digest) -> Result<FetchedManifest, Error> {
        self.each(|endpoint, attempts| {
            self.attempts(attempts, || {
                let answer = self.manifest(endpoint, &wanted.to_string())?;
                let (shown, media_type) = (url::shown(&answer.url), answer.header("content-type").map(str::to_owned));
                let encoding = answer.encoding();
                let body = answer.body(MAX_DOCUMENT, self.transport.document_patience())?;
                let of = |bytes: &[u8]| Digest::of(wanted.algorithm(), bytes);
                let is_right = |bytes: &[u8]| of(bytes) == *wanted;
                let bytes = body.right(is_right, |bytes| wrong(shown, &of(bytes), wanted, &encoding))?;
                Ok(FetchedManifest { bytes, media_type, digest: wanted.clone() })
            })
        })
    }

    /// Fetches a blob into `sink`: from the registry, or a foreign layer from the addresses in its descriptor (R4).
    ///
    /// # Errors
    /// When no source has the complete and correct blob.
    pub fn blob(&self, descriptor: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Error> {
        self.blob_within(descriptor, sink, None)
    }

    /// The same for an image's config, for which the time is limited.
    ///
    /// # Errors
    /// As [`blob`](Self::blob).
    pub fn config(&self, descriptor: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Error> {
        self.in_time(|| self.blob_within(descriptor, sink, Some(self.transport.document_patience())))
    }

    /// Fetches a document, unless the time for all of them is up.
    fn in_time<T>(&self, fetch: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let host = self.sources.last().map_or("", |source| source.endpoint.host());
        self.documents.spend(fetch, |limit| failure::slow_altogether(host, limit))
    }

    fn blob_within(
        &self,
        descriptor: &Descriptor,
        sink: &mut dyn BlobSink,
        patience: Option<Duration>,
    ) -> Result<(), Error> {
        let path = format!("blobs/{}", descriptor.digest);
        let download = |open: &dyn Fn(&HeaderMap) -> Result<Answer, Error>, sink: &mut dyn BlobSink, attempts| {
            Download { patience, cancel: &self.cancel, open }.run(sink, attempts)
        };
        let tried = self.each(|endpoint, attempts| {
            download(&|headers| endpoint.request(&Method::GET, &path, headers), sink, attempts)
        });
        let Err(mut error) = tried else { return Ok(()) };
        for place in descriptor.urls.iter().take(MAX_ADDRESSES) {
            if !may_try_elsewhere(&error) {
                break;
            }
            let Ok(url) = place.parse::<url::Url>() else { continue };
            let Some(endpoint) = self.sources.last().map(|source| &source.endpoint) else { break };
            // Without any answer yet, we do not know where the registry is.
            let Some(sender) = endpoint.sender().or_else(|| self.sources.iter().find_map(|s| s.endpoint.sender()))
            else {
                break;
            };
            log::info!("{}: not in the registry, trying {}", descriptor.digest, url::shown(&url));
            let open = |headers: &HeaderMap| {
                let request = Request { headers: headers.clone(), ..Request::get(url.clone()) };
                self.transport.send(&request, endpoint.security(), Some(sender))
            };
            match download(&open, sink, Attempts::new(self.options.retries)) {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    fn manifest(&self, endpoint: &Endpoint, target: &str) -> Result<Answer, Error> {
        let answer = endpoint.request(&Method::GET, &format!("manifests/{target}"), &accept())?;
        if answer.status().is_success() { Ok(answer) } else { Err(answer.into_error()) }
    }

    fn attempts<T>(&self, mut attempts: Attempts, mut once: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        loop {
            match self.in_time(&mut once) {
                Ok(done) => return Ok(done),
                Err(error) => attempts.after(error, &self.cancel)?,
            }
        }
    }

    /// Tries the sources in turn; the error is that of the last one, the registry itself.
    fn each<T>(&self, mut at: impl FnMut(&Endpoint, Attempts) -> Result<T, Error>) -> Result<T, Error> {
        let last = self.sources.len().saturating_sub(1);
        for (index, source) in self.sources.iter().enumerate() {
            if index < last && source.down.load(Ordering::Relaxed) {
                continue;
            }
            let attempts = if index == last {
                Attempts::new(self.options.retries)
            } else {
                Attempts::at_mirror(self.options.retries)
            };
            let error = match at(&source.endpoint, attempts) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if index == last || !may_try_elsewhere(&error) {
                return Err(error);
            }
            let failed = matches!(&error, Error::Transport { kind, .. } if *kind != ConnectFailure::Permanent);
            source.down.fetch_or(failed, Ordering::Relaxed);
            log::warn!("mirror {}: {error}; trying the next place", source.endpoint.host());
        }
        Err(Error::Forbidden("registries.conf leaves no place for the image".into()))
    }
}

/// Whether another source may succeed.
fn may_try_elsewhere(error: &Error) -> bool {
    !matches!(error, Error::Sink(_) | Error::Cancelled | Error::Forbidden(_))
}

fn accept() -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&media_type::ACCEPT.join(", ")) {
        headers.insert(ACCEPT, value);
    }
    headers
}

fn content_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

fn wrong(url: String, found: &Digest, wanted: &Digest, encoding: &str) -> Error {
    Error::Wrong { url, what: format!("the bytes have digest {found}, not {wanted}{encoding}") }
}
