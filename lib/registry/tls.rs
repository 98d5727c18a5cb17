//! Certificates: the system's, those of flags, those of `certs.d` (R5).

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::blocking::ClientBuilder;
use reqwest::{Certificate, Identity};

use super::Error;
use super::endpoint::DOCKER_HOST;
use crate::image::DEFAULT_REGISTRY;

/// Longest PEM file that is read, in bytes.
const MAX_PEM: u64 = 8 << 20;

/// Adds to `builder` what `authority` (host and port) is to be trusted and shown with: what `certs.d` has for it, and
/// the files of flags.
pub(super) fn configure(
    builder: ClientBuilder,
    authority: &str,
    ca_cert: Option<&Path>,
    own: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientBuilder, Error> {
    let mut authorities = Vec::new();
    let mut identity = None;
    for dir in directories(authority).iter().rev() {
        collect(dir, &mut authorities, &mut identity)?;
    }
    if let Some(path) = ca_cert {
        authorities.extend(certificates(path)?);
    }
    if let Some((cert, key)) = own {
        identity = Some(pair(cert, key)?);
    }
    let mut builder = builder.tls_certs_merge(authorities);
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// Where Podman and Docker keep a registry's certificates, the user's first.
fn directories(authority: &str) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = config.or_else(|| home.map(|home| home.join(".config")));
    let mut bases: Vec<PathBuf> = config.into_iter().map(|dir| dir.join("containers/certs.d")).collect();
    bases.push("/etc/containers/certs.d".into());
    bases.push("/etc/docker/certs.d".into());
    // Podman looks for Docker Hub's under the name that images have, Docker under the host's.
    let names = match authority {
        DOCKER_HOST => vec![authority, DEFAULT_REGISTRY],
        _ => vec![authority],
    };
    bases.iter().flat_map(|base| names.iter().map(|name| base.join(name))).collect()
}

/// `*.crt` are authorities, `NAME.cert` with `NAME.key` a client certificate.
fn collect(dir: &Path, authorities: &mut Vec<Certificate>, identity: &mut Option<Identity>) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|e| e.to_str()) {
            Some("crt") => authorities.extend(certificates(&path)?),
            Some("cert") => *identity = Some(pair(&path, &path.with_extension("key"))?),
            _ => {}
        }
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let found = Certificate::from_pem_bundle(&read(path)?).map_err(|_| bad(path, "holds no PEM certificate"))?;
    match found.is_empty() {
        true => Err(bad(path, "holds no PEM certificate")),
        false => Ok(found),
    }
}

fn pair(cert: &Path, key: &Path) -> Result<Identity, Error> {
    let mut pem = read(key)?;
    pem.push(b'\n');
    pem.extend(read(cert)?);
    Identity::from_pem(&pem).map_err(|_| bad(cert, &format!("is no PEM certificate with the key in {}", key.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_PEM).read_to_end(&mut bytes));
    read.map_err(|e| bad(path, &e.to_string()))?;
    Ok(bytes)
}

fn bad(path: &Path, what: &str) -> Error {
    Error::File { path: path.into(), what: what.into() }
}
