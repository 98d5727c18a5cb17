//! The authorities whose certificates are trusted.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::self_signed;

/// Trusts the system's authorities and `named`, which a server may show itself. The former, hundreds of files, are read when a server first shows a
/// certificate: one of plain HTTP never does, and then there need not be any.
#[derive(Debug)]
pub(super) struct Roots {
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    chains: OnceLock<Result<Verifier, Error>>,
}

/// There is no authority to trust.
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
