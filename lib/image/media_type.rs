//! The media types of images, OCI's and Docker's.

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image manifest, version 2, schema 1; refused (R4).
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The signed form of [`DOCKER_SCHEMA1`]; refused (R4).
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// The prefixes of image configs' media types, OCI's and Docker's.
const CONFIGS: [&str; 2] = ["application/vnd.oci.image.config.", "application/vnd.docker.container.image."];
/// Other media types that old builders gave the configs of images.
const ODD_CONFIGS: [&str; 3] = ["application/json", "application/octet-stream", "text/plain"];
/// A layer that is a plain tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The accepted types in requests to a registry, best first. Schema 1 is last so that a registry that has nothing else
/// sends it, and it can be refused with its name and not as "not found".
pub const ACCEPT: [&str; 6] =
    [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1];

/// A header value without its parameters (`; charset=utf-8`), in lower case.
#[must_use]
pub fn essence(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether `media_type` is an image config's, or empty. The config of an artifact has another vendor's type, or OCI's type
/// for empty ones.
#[must_use]
pub fn is_config(media_type: &str) -> bool {
    media_type.is_empty()
        || CONFIGS.iter().any(|prefix| media_type.starts_with(prefix))
        || ODD_CONFIGS.contains(&media_type)
}

/// Whether `media_type` is that of an image layer's tar, compressed or not, or empty.
#[must_use]
pub fn is_layer(media_type: &str) -> bool {
    media_type.is_empty() || media_type.contains(".tar") || media_type.contains("/tar")
}

/// Whether `media_type` is an index's, OCI's or Docker's.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Whether `media_type` is an image manifest's, OCI's or Docker's.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}
