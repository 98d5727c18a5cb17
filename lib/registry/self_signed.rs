//! Servers that show a certificate which the user has named as trusted.
//!
//! `openssl req -x509`, by which Docker's manual has people make a certificate for a registry, makes one that signs itself
//! and is an authority's too (`basicConstraints=CA:TRUE`). People give it to the server and name it to its clients. By
//! the rules of webpki no authority's certificate may be a server's; Go's allow it, and so Docker, crane and skopeo do.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Accepts what `chains` accepts, and else an authority's certificate that is one of `named`, byte for byte, if it is for
/// this server and of this time.
#[derive(Debug)]
pub(super) struct OrNamed<V> {
    pub(super) chains: V,
    pub(super) named: Vec<CertificateDer<'static>>,
}

impl<V: ServerCertVerifier> ServerCertVerifier for OrNamed<V> {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.chains.verify_server_cert(shown, intermediates, server, ocsp, now);
        match verified {
            // webpki has looked at the certificate's time before it says so, but not at its names.
            Err(error) if is_authority(&error) && self.named.iter().any(|named| named == shown) => {
                verify_server_name(&ParsedCertificate::try_from(shown)?, server)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, shown, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// The server's certificate is an authority's. rustls hands the error of webpki on as one of many others.
fn is_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other)) if other.to_string() == "CaUsedAsEndEntity")
}
