//! Servers that present a certificate which the user has explicitly trusted.
//!
//! `openssl req -x509`, which Docker's manual recommends for registries, makes a self-signed certificate that is also
//! that of an authority (`basicConstraints=CA:TRUE`). People install it on the server and give it to its clients.
//! webpki does not accept the certificate of an authority from a server; Go does, and so do Docker, crane and skopeo.
//!
//! Others save the certificate that `openssl s_client` shows and trust that, without the authority that signed it: webpki
//! only trusts authorities, Go trusts any certificate given.

use rustls::client::danger::ServerCertVerified;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError};

/// Accepts `shown`, which webpki refused with `error` for being the certificate of an authority or signed by an unknown
/// one, if it is one of `named`, byte for byte, and for this server. Before either error, webpki has checked its
/// validity period.
///
/// # Errors
/// `error` if it is not one of them, or what is wrong with its names.
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

/// Whether the server's certificate was refused for being that of an authority.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else { return false };
    error.downcast_ref::<webpki::Error>().is_some_and(|error| *error == webpki::Error::CaUsedAsEndEntity)
}
