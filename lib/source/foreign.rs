//! Names that the user does not mean as a registry's: other tools' transports, and existing files.

use std::path::Path;

use super::Error;

/// Transports of other tools, and what to type here instead; `{}` is the part after the colon.
const TRANSPORTS: [(&str, &str); 16] = [
    ("docker-daemon:", "docker save {} | oci-fetch -"),
    ("containers-storage:", "podman save {} | oci-fetch -"),
    ("podman:", "podman save {} | oci-fetch -"),
    ("containerd:", "ctr images export - {} | oci-fetch -"),
    ("dir:", "skopeo copy dir:{} oci:image && oci-fetch oci:image"),
    ("docker-dir:", "skopeo copy dir:{} oci:image && oci-fetch oci:image"),
    ("sif:", "skopeo copy sif:{} oci:image && oci-fetch oci:image"),
    ("ostree:", "skopeo copy ostree:{} oci:image && oci-fetch oci:image"),
    ("oci-dir:", "oci-fetch oci:{}"),
    ("oci-layout:", "oci-fetch oci:{}"),
    ("docker-image:", "oci-fetch {}"),
    ("docker-tar:", "oci-fetch docker-archive:{}"),
    ("tarball:", "oci-flatten -n -l {}"),
    ("file:", "oci-fetch ./{}"),
    ("https:", "oci-fetch {}"),
    ("http:", "oci-fetch --insecure {}"),
];

/// The suffixes of tar archives, compressed or not.
const ARCHIVES: [&str; 8] = [".tar", ".tgz", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".oci", ".docker"];

/// Refuses `text`, which is about to be taken for an image in a registry, if it evidently is not one.
///
/// # Errors
/// With the advice what to type instead.
pub(super) fn refuse(text: &str) -> Result<(), Error> {
    for (prefix, command) in TRANSPORTS {
        let Some(rest) = text.strip_prefix(prefix) else { continue };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let path = rest.strip_prefix('/').filter(|_| command.contains("./{}"));
        let instead = match path {
            Some(_) => format!("oci-fetch {rest}"),
            None => command.replace("{}", if rest.is_empty() { "IMAGE" } else { rest }),
        };
        return Err(Error::Transport { text: text.to_owned(), prefix, instead });
    }
    let (before, _) = text.split_at(text.find([':', '@']).unwrap_or(text.len()));
    let is_archive = ARCHIVES.iter().any(|end| before.ends_with(end)) && Path::new(before).is_file();
    let path = Path::new(text);
    let is_layout = || ["oci-layout", "index.json"].iter().any(|name| path.join(name).is_file());
    if is_archive || path.is_file() || is_layout() {
        Err(Error::Path {
            path: path.into(),
            what: format!("is here too: ./{text} reads it, docker://{text} fetches the registry's image of this name"),
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn transports_say_what_to_type() {
        for (text, instead) in [
            ("docker-daemon:nginx:1.21", "docker save nginx:1.21 | oci-fetch -"),
            ("containers-storage:localhost/app", "podman save localhost/app | oci-fetch -"),
            ("dir:/some/where", "skopeo copy dir:/some/where oci:image && oci-fetch oci:image"),
            ("oci-layout:///some/where:tag", "oci-fetch oci:/some/where:tag"),
            ("docker-image://alpine:3.20", "oci-fetch alpine:3.20"),
            ("https://registry.test/app", "oci-fetch registry.test/app"),
            ("file:///some/x.tar", "oci-fetch /some/x.tar"),
            ("file:x.tar", "oci-fetch ./x.tar"),
            ("docker-daemon:", "docker save IMAGE | oci-fetch -"),
        ] {
            let error = refuse(text).unwrap_err();
            assert!(matches!(&error, Error::Transport { instead: found, .. } if found == instead), "{error}");
        }
        for good in ["nginx", "nginx:1.21", "localhost:5000/dir:1", "registry:2", "docker.io/library/dir:latest"] {
            assert!(refuse(good).is_ok(), "{good}");
        }
    }
}
