//! Servers that show a certificate which the user has named as trusted.
//!
//! `openssl req -x509`, by which Docker's manual has people make a certificate for a registry, makes one that signs itself
//! and is an authority's too (`basicConstraints=CA:TRUE`). People give it to the server and name it to its clients. By
//! the rules of webpki no authority's certificate may be a server's; Go's allow it, and so Docker, crane and skopeo do.
//!
//! Others save what `openssl s_client` shows of a server and name that, without the authority that signed it: for webpki
//! only authorities are trusted, for Go what is named.

use rustls::client::danger::ServerCertVerified;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError};

/// Whether `shown`, which webpki refused with `error` as an authority's certificate or one of an unknown authority, is one
/// of `named`, byte for byte, and is for this server. webpki has looked at its time before it says either.
///
/// # Errors
/// `error` when it is not, or what is wrong with its names.
pub(super) fn accept(
    error: Error,
    named: &[CertificateDer<'_>],
    shown: &CertificateDer<'_>,
    server: &ServerName<'_>,
) -> Result<ServerCertVerified, Error> {
    let is_unknown = matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
    if !(is_unknown || is_authority(&error)) || !named.contains(shown) {
        return Err(error);
    }
    verify_server_name(&ParsedCertificate::try_from(shown)?, server)?;
    Ok(ServerCertVerified::assertion())
}

/// The server's certificate is an authority's.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else { return false };
    error.downcast_ref::<webpki::Error>().is_some_and(|error| *error == webpki::Error::CaUsedAsEndEntity)
}
