//! The certificates that are trusted.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::self_signed;
use crate::sys::{Pipes, SmallFileError, kind_in_words, read_small_file};

/// Trusts the system's authorities and `named`, which may also be the servers' own certificates. The former, hundreds of
/// files, are read only when a server first presents a certificate: with plain HTTP, they need not even exist.
#[derive(Debug)]
pub(super) struct Roots {
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    chains: OnceLock<Result<Verifier, Error>>,
}

/// The environment variable that names another file of authorities than the system's.
const SYSTEM_FILE: &str = "SSL_CERT_FILE";

/// There are no trusted authorities.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct NoAuthorities(Error);

impl Roots {
    pub(super) fn new(named: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Self {
        Self { named, provider, chains: OnceLock::new() }
    }
}

impl ServerCertVerifier for Roots {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let load = || {
            require_end(std::env::var_os(SYSTEM_FILE).map(PathBuf::from))?;
            let loaded = Verifier::new_with_extra_roots(self.named.iter().cloned(), Arc::clone(&self.provider));
            loaded.map_err(|error| Error::Other(OtherError(Arc::new(NoAuthorities(error)))))
        };
        let chains = self.chains.get_or_init(load).as_ref().map_err(Clone::clone)?;
        let verified = chains.verify_server_cert(shown, intermediates, server, ocsp, now);
        verified.or_else(|error| self_signed::accept(error, &self.named, shown, server))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The library that reads the authorities would block on a FIFO and never end on some devices. An empty device such as
/// /dev/null is allowed: it means that none of the system's authorities are trusted.
fn require_end(path: Option<PathBuf>) -> Result<(), Error> {
    let Some((path, meta)) = path.and_then(|path| fs::metadata(&path).ok().map(|meta| (path, meta))) else {
        return Ok(());
    };
    let kind = meta.file_type();
    let is_empty = || kind.is_char_device() && read_small_file(&path, 0, Pipes::Awaited(Duration::ZERO)).is_ok();
    if kind.is_file() || kind.is_dir() || is_empty() {
        return Ok(());
    }
    let what = SmallFileError::Kind(kind_in_words(kind));
    Err(Error::General(format!("{SYSTEM_FILE}: {} {what}", path.display())))
}
