//! Looks for credentials in all the usual places, in order (R3).

use std::path::PathBuf;

use super::credential::Credential;
use super::docker_config::DockerConfig;
use super::{Error, Options, environment};

/// The credentials for a repository: from the command line, then `--authfile`, then the files of Podman and Docker.
/// Those of the command line are for the registry that the user named, not for its mirrors. `None` if none are to be
/// used.
///
/// # Errors
/// When `--authfile` cannot be read.
pub(super) fn lookup(
    options: &Options,
    registry: &str,
    repository: &str,
    mirror: bool,
) -> Result<Option<Credential>, Error> {
    if options.anonymous {
        return Ok(None);
    }
    if let (Some((user, password)), false) = (&options.user, mirror) {
        return Ok(Some(Credential::Basic { user: user.clone().into_bytes(), password: password.clone() }));
    }
    if let Some(found) = authfile(options)?.and_then(|config| config.lookup(registry, repository)) {
        return Ok(Some(found));
    }
    for path in files() {
        match DockerConfig::read(&path, options.timeout) {
            Ok(None) => {}
            Ok(Some(config)) => {
                if let Some(found) = config.lookup(registry, repository) {
                    log::info!("credentials for {registry} from {}", path.display());
                    return Ok(Some(found));
                }
            }
            // Most images need no credentials: a broken file is no reason to stop.
            Err(error) => log::warn!("{error}"),
        }
    }
    Ok(None)
}

/// The content of `--authfile`. The user asked for it, so it must exist even if no credentials are needed in the end.
///
/// # Errors
/// When it cannot be read.
pub(super) fn authfile(options: &Options) -> Result<Option<DockerConfig>, Error> {
    let Some(path) = &options.authfile else { return Ok(None) };
    let missing = || Error::File { path: path.clone(), what: "no such file".into() };
    DockerConfig::read(path, options.timeout)?.ok_or_else(missing).map(Some)
}

/// The possible files of Podman and Docker, in order of precedence.
fn files() -> Vec<PathBuf> {
    let runtime = environment::path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    let uid = rustix::process::getuid().as_raw();
    let docker = environment::path("DOCKER_CONFIG").or_else(|| environment::under_home(".docker"));
    [
        environment::path("REGISTRY_AUTH_FILE"),
        Some(runtime.unwrap_or_else(|| format!("/run/containers/{uid}/auth.json").into())),
        environment::config_home().map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}
