//! Certificates: the system's, those from flags, those in `certs.d` (R5).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::{ClientBuilder, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::http_versions::HttpVersions;
use super::mirrors::DOCKER_HOST;
use super::roots::Roots;
use super::{Error, Options, p521};
use crate::image::DEFAULT_REGISTRY;
use crate::sys::{Pipes, read_small_file};

/// The limit on the size of a PEM file, in bytes.
const MAX_PEM: u64 = 8 << 20;

/// A client certificate and its key.
struct ClientIdentity {
    /// Both in PEM.
    pem: Vec<u8>,
    identity: Identity,
}

/// Adds to `builder` what `authority` (host and port) is to be trusted and shown with: what `certs.d` has for it, and
/// the files of flags, of which `files` are the certificate and its key. With `any_certificate` everybody is trusted.
pub(super) fn configure(
    builder: ClientBuilder,
    authority: &str,
    options: &Options,
    files: Option<&(PathBuf, PathBuf)>,
    any_certificate: bool,
    versions: HttpVersions,
) -> Result<ClientBuilder, Error> {
    let mut named = Vec::new();
    let mut identity = None;
    for dir in directories(authority).iter().rev() {
        collect(dir, &mut named, &mut identity)?;
    }
    // Files named by the user may be pipes, those in a directory of certificates may not.
    let pipes = Pipes::Awaited(options.timeout);
    if let Some(path) = &options.ca_cert {
        named.extend(certificates(path, pipes)?);
    }
    if let Some((cert, key)) = files {
        identity = Some(pair(cert, key, pipes)?);
    }
    if any_certificate {
        let builder = builder.tls_danger_accept_invalid_certs(true);
        return Ok(match identity {
            Some(client) => builder.identity(client.identity),
            None => builder,
        });
    }
    let config = trusting(named, identity, versions).map_err(|error| bad(Path::new(authority), &error.to_string()))?;
    Ok(builder.tls_backend_preconfigured(config))
}

/// Configures the trusted certificates for a proxy on the way to a plain HTTP server.
pub(super) fn configure_for_proxy(builder: ClientBuilder) -> Result<ClientBuilder, rustls::Error> {
    Ok(builder.tls_backend_preconfigured(trusting(Vec::new(), None, HttpVersions::One)?))
}

/// The configuration that reqwest would make of the system's authorities and `named`, except that a server may present
/// one of `named` itself, and that the system's are loaded lazily.
fn trusting(
    named: Vec<CertificateDer<'static>>,
    identity: Option<ClientIdentity>,
    versions: HttpVersions,
) -> Result<ClientConfig, rustls::Error> {
    let provider = p521::provider();
    let roots = Roots::new(named, Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(roots));
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(ClientIdentity { pem, .. }) => {
            let malformed = |error: rustls::pki_types::pem::Error| rustls::Error::General(error.to_string());
            let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(malformed)?;
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&pem).map_err(malformed)?)?
        }
    };
    config.alpn_protocols = versions.alpn();
    Ok(config)
}

/// Where Podman and Docker keep the certificates for a registry, the user's first.
fn directories(authority: &str) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = config.or_else(|| home.map(|home| home.join(".config")));
    let mut bases: Vec<PathBuf> = config.into_iter().map(|dir| dir.join("containers/certs.d")).collect();
    bases.push("/etc/containers/certs.d".into());
    bases.push("/etc/docker/certs.d".into());
    let mut names = vec![authority.to_owned()];
    // For Docker Hub, Podman uses the name in image references, Docker that of the host.
    if authority == DOCKER_HOST {
        names.push(DEFAULT_REGISTRY.into());
    }
    // The default port may be explicit in an image name, and then in the name of the directory.
    if !authority.rsplit(']').next().unwrap_or_default().contains(':') {
        names.insert(0, format!("{authority}:443"));
    }
    bases.iter().flat_map(|base| names.iter().map(|name| base.join(name))).collect()
}

/// Collects `*.crt` as authorities, and `NAME.cert` with `NAME.key` as the client certificate.
fn collect(
    dir: &Path,
    named: &mut Vec<CertificateDer<'static>>,
    identity: &mut Option<ClientIdentity>,
) -> Result<(), Error> {
    let Ok(entries) = crate::sys::uninterrupted(|| fs::read_dir(dir)) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|e| e.to_str()) {
            Some("crt") => named.extend(usable_certificates(&path)),
            Some("cert") => *identity = Some(pair(&path, &path.with_extension("key"), Pipes::Refused)?),
            _ => {}
        }
    }
    Ok(())
}

fn certificates(path: &Path, pipes: Pipes) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path, pipes)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    let found = found.ok_or_else(|| bad(path, "holds no PEM certificate"))?;
    for certificate in &found {
        let usable = RootCertStore::empty().add(certificate.clone());
        usable.map_err(|error| bad(path, &format!("holds a certificate that cannot be used: {error}")))?;
    }
    Ok(found)
}

/// The usable certificates in a file. Anything else in it is only warned about, since the user did not name the file.
fn usable_certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let pem = read(path, Pipes::Refused).unwrap_or_else(|error| {
        log::warn!("{error}; passed over");
        Vec::new()
    });
    let is_usable =
        |certificate: &CertificateDer<'_>| RootCertStore::empty().add(certificate.clone().into_owned()).is_ok();
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect();
    let found: Vec<_> = all.iter().flatten().filter(|certificate| is_usable(certificate)).cloned().collect();
    if found.is_empty() {
        log::warn!("{}: holds no PEM certificate that can be used; passed over", path.display());
    } else if found.len() < all.len() {
        let other = all.len() - found.len();
        log::warn!("{}: certificates that cannot be used are passed over: {other}", path.display());
    }
    found
}

fn pair(cert: &Path, key: &Path, pipes: Pipes) -> Result<ClientIdentity, Error> {
    let mut pem = read(key, pipes)?;
    pem.push(b'\n');
    pem.extend(read(cert, pipes)?);
    match Identity::from_pem(&pem) {
        Ok(identity) => Ok(ClientIdentity { pem, identity }),
        Err(_) => Err(bad(cert, &format!("is no PEM certificate with the key in {}", key.display()))),
    }
}

fn read(path: &Path, pipes: Pipes) -> Result<Vec<u8>, Error> {
    read_small_file(path, MAX_PEM, pipes).map_err(|error| bad(path, &error.to_string()))
}

fn bad(path: &Path, what: &str) -> Error {
    Error::File { path: path.into(), what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::directories;

    #[test]
    fn a_port_that_goes_without_saying_may_stand_in_the_directorys_name() {
        let has = |authority: &str, name: &str| directories(authority).iter().any(|dir| dir.ends_with(name));
        assert!(has("registry.test", "registry.test:443") && has("registry.test", "registry.test"));
        assert!(has("[::1]", "[::1]:443") && has("[::1]", "[::1]"));
        assert!(
            has("registry.test:5000", "registry.test:5000") && !has("registry.test:5000", "registry.test:5000:443")
        );
    }
}
