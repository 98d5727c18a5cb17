//! One HTTP client per host: certificates, proxy, name resolution, connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Proxy, redirect};

use super::destination::Referrer;
use super::dns::DnsResolver;
use super::error::ConnectFailure;
use super::http_versions::HttpVersions;
use super::url::{self, Url};
use super::{Error, Options, failure, proxy, tls};

/// How long a handshake may take if plain HTTP is an alternative: on loopback, and elsewhere with `--insecure`.
const TLS_PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The limit on header lines. Some servers send more than a hundred.
const MAX_HEADERS: usize = 1000;

/// The limit on connections per host that are assumed to be idle.
const MAX_IDLE: usize = 64;

/// How many unread bytes of a body an HTTP/2 server may send, and of all bodies on a connection together: enough for a long
/// fat pipe, but little memory.
const WINDOW: u32 = 4 << 20;
const WINDOW_OF_ALL: u32 = 16 << 20;

/// The limit on the headers of an HTTP/2 answer, in bytes; HTTP/1.1 has its own.
const MAX_HEADER_LIST: u32 = 256 << 10;

/// Which safeguards a connection may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Security {
    /// Plain HTTP is allowed off loopback.
    pub plain_http: bool,
    /// Any certificate is accepted.
    pub any_certificate: bool,
}

/// The client for one host.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub client: Client,
    /// Whether requests go through a proxy.
    pub is_proxied: bool,
    versions: HttpVersions,
    /// Whether it has answered.
    is_met: Arc<AtomicBool>,
    /// The number of connections that may be idle, and may have been closed by the other end.
    idle: Arc<AtomicUsize>,
}

impl Host {
    /// The client for the host of `url`. `is_named` says that the user named it, `sender` that a server sent us there.
    ///
    /// # Errors
    /// When certificates or the address of the proxy cannot be used.
    pub(super) fn new(
        url: &Url,
        security: Security,
        options: &Options,
        is_named: bool,
        sender: Option<Referrer>,
        versions: HttpVersions,
    ) -> Result<Self, Error> {
        let unusable = |what| Error::Transport { url: url::shown(url), what, kind: ConnectFailure::Permanent };
        let plain = url.scheme() == "http";
        let sent = sender.map(|sender| (url.host_str().unwrap_or_default().to_owned(), sender));
        // Accept what Go's clients accept: folded headers, and many of them.
        let mut builder = Client::builder()
            .user_agent(concat!("oci-fetch/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(DnsResolver { sent }))
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(MAX_HEADERS)
            .connect_timeout(options.timeout)
            .tcp_nodelay(true);
        builder = match versions {
            HttpVersions::One => builder.http1_only(),
            HttpVersions::All => builder
                .http2_initial_stream_window_size(WINDOW)
                .http2_initial_connection_window_size(WINDOW_OF_ALL)
                .http2_max_header_list_size(MAX_HEADER_LIST),
        };
        if !plain && (security.plain_http || url::is_loopback(url)) {
            // A plain HTTP server may wait for a line break that TLS does not send.
            let patience = if url::is_loopback(url) { TLS_PATIENCE.0 } else { TLS_PATIENCE.1 };
            builder = builder.connect_timeout(patience.min(options.timeout / 2));
        }
        let proxy = proxy::on_the_way(url)?;
        if let Some(proxy) = &proxy {
            // The library's message may contain the address, and with it a password.
            let proxy = Proxy::all(proxy.clone()).map_err(|_| unusable("the proxy cannot be used".into()))?;
            builder = builder.proxy(proxy);
        }
        if plain {
            builder = tls::configure_for_proxy(builder).map_err(|error| unusable(error.to_string()))?;
        } else {
            let identity = options.identity.as_ref().filter(|_| is_named);
            let any = security.any_certificate || options.tls_no_verify;
            builder = tls::configure(builder, &url::authority(url), options, identity, any, versions)?;
        }
        let client = builder.build().map_err(|error| unusable(failure::words(&error.without_url())))?;
        Ok(Self { client, is_proxied: proxy.is_some(), versions, is_met: Arc::default(), idle: Arc::default() })
    }

    /// Whether the server at `url` may need a version of HTTP that it was not offered.
    pub(super) fn may_speak_other(&self, url: &Url) -> bool {
        self.versions == HttpVersions::One && url.scheme() == "https" && !self.is_met.load(Ordering::Relaxed)
    }

    /// A request has been answered: its connection may be idle from now on.
    pub(super) fn answered(&self) {
        self.is_met.store(true, Ordering::Relaxed);
        let more = |idle: usize| Some((idle + 1).min(MAX_IDLE));
        let _ = self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// A connection was cut before the answer: returns whether it may have been an idle one, and counts one less.
    pub(super) fn lost_idle(&self) -> bool {
        let less = |idle: usize| idle.checked_sub(1);
        self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
