//! Image indexes and manifests: tells them apart and reads them tolerantly (R4).

use serde::Deserialize;

use super::beginning::beginning;
use super::descriptor::{Descriptor, Entries, or_default};
use super::media_type;

/// The largest index, manifest or config, in bytes (R7).
pub const MAX_DOCUMENT: u64 = 8 << 20;

/// The most layers an image may have; overlayfs and Docker stop at about a hundred.
pub(super) const MAX_LAYERS: usize = 4096;

/// An index or a manifest.
#[derive(Clone, Debug)]
pub enum Document {
    /// Several images, usually the same for several platforms.
    Index(Index),
    /// One image.
    Manifest(Box<Manifest>),
}

/// An OCI image index or a Docker manifest list.
#[derive(Clone, Debug)]
pub struct Index {
    /// OCI's or Docker's.
    pub media_type: String,
    /// The images, artifacts and nested indexes.
    pub manifests: Vec<Descriptor>,
}

/// An OCI or a Docker schema 2 image manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// OCI's or Docker's.
    pub media_type: String,
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not JSON, or a required field is missing.
    #[error("not a valid image manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// Docker's first format, which has no verifiable config.
    #[error("Docker image manifest version 2, schema 1: too old to be supported, push the image again")]
    Schema1,
    /// Neither an index nor a manifest.
    #[error("neither an image manifest nor an image index{}", .0.as_deref().map(|t| format!(": {t:?}")).unwrap_or_default())]
    Unknown(Option<String>),
    /// Both an index and a manifest.
    #[error("an image index and an image manifest in one: it could mean two things")]
    Ambiguous,
    /// An artifact that is not an image: a chart, a signature, ...
    #[error("not a container image but an artifact of type {0:?}")]
    Artifact(String),
    /// An encrypted layer.
    #[error("layer {0} is encrypted ({1}), which is not supported")]
    Encrypted(usize, String),
    /// It has too many layers.
    #[error("{0} layers are too many, at most {MAX_LAYERS} are read")]
    TooManyLayers(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    media_type: String,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    manifests: Option<Entries>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document. `declared` is the type from a descriptor or a `Content-Type`; the document's own `mediaType` takes
    /// precedence, and without either the fields decide.
    ///
    /// # Errors
    /// When it is neither an index nor an image manifest.
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, DocumentError> {
        let raw: Raw = serde_json::from_slice(bytes)?;
        let declared = declared.map(media_type::essence);
        let own = media_type::essence(&raw.media_type);
        let is_schema1 = |t: &str| matches!(t, media_type::DOCKER_SCHEMA1 | media_type::DOCKER_SCHEMA1_SIGNED);
        let known = |t: &String| media_type::is_index(t) || media_type::is_manifest(t);
        // The number dates from the first format, and some builders of the second never raised it.
        let is_first = raw.schema_version == Some(1) && !known(&own);
        if raw.fs_layers.is_some() || is_first || is_schema1(&own) {
            return Err(DocumentError::Schema1);
        }
        let stated = Some(own).filter(|t| !t.is_empty()).or(declared.filter(known));
        if let Some(other) = stated.as_ref().filter(|t| !known(t)) {
            return Err(DocumentError::Unknown(Some(beginning(other, 100))));
        }
        // A tool that reads it as the other kind would see another image (CVE-2021-41190).
        if raw.manifests.is_some() && (raw.config.is_some() || raw.layers.is_some()) {
            return Err(DocumentError::Ambiguous);
        }
        match (stated, raw.manifests, raw.config, raw.layers) {
            (Some(t), Some(Entries(manifests)), _, _) if media_type::is_index(&t) => {
                Ok(Self::Index(Index { media_type: t, manifests }))
            }
            (Some(t), _, Some(config), layers) if media_type::is_manifest(&t) => {
                manifest(t, config, layers.unwrap_or_default(), raw.artifact_type)
            }
            (None, Some(Entries(manifests)), None, None) => {
                Ok(Self::Index(Index { media_type: media_type::OCI_INDEX.into(), manifests }))
            }
            (None, None, Some(config), Some(layers)) => {
                manifest(media_type::OCI_MANIFEST.into(), config, layers, raw.artifact_type)
            }
            _ => Err(DocumentError::Unknown(None)),
        }
    }
}

fn manifest(
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    artifact_type: Option<String>,
) -> Result<Document, DocumentError> {
    if layers.len() > MAX_LAYERS {
        return Err(DocumentError::TooManyLayers(layers.len()));
    }
    let kind = media_type::essence(&config.media_type);
    if !media_type::is_config(&kind) {
        let kind = artifact_type.unwrap_or(kind);
        return Err(DocumentError::Artifact(beginning(&kind, 100)));
    }
    if let Some(at) = layers.iter().position(|layer| layer.media_type.ends_with("+encrypted")) {
        return Err(DocumentError::Encrypted(at, beginning(&layers[at].media_type, 100)));
    }
    Ok(Document::Manifest(Box::new(Manifest { media_type, config, layers })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str, declared: Option<&str>) -> Result<Document, String> {
        Document::parse(text.replace("$D", DIGEST).as_bytes(), declared).map_err(|e| e.to_string())
    }

    #[test]
    fn kinds_are_told_apart_with_and_without_media_type() {
        let config = r#""config":{"digest":"$D","size":2},"layers":null"#;
        let of = media_type::OCI_MANIFEST;
        assert!(matches!(parse(&format!("{{{config}}}"), Some(of)), Ok(Document::Manifest(_))));
        let bare = r#"{"schemaVersion":2,"config":{"digest":"$D","size":2},"layers":[]}"#;
        assert!(matches!(parse(bare, None), Ok(Document::Manifest(_))));
        assert!(matches!(parse(bare, Some("text/plain; charset=utf-8")), Ok(Document::Manifest(_))));
        assert!(matches!(parse(r#"{"manifests":[]}"#, None), Ok(Document::Index(_))));
        assert!(parse(r#"{"manifests":[],"config":{"digest":"$D","size":2},"layers":[]}"#, None).is_err());
    }

    #[test]
    fn an_entry_that_makes_no_sense_costs_that_entry() {
        for odd in [
            r#"{"digest":"blake3:00","size":2}"#,
            r#"{"digest":"","size":2}"#,
            r#"{"size":2}"#,
            r#"{"digest":"$D"}"#,
            r#"{"digest":"$D","size":-1}"#,
            r#"{"digest":"$D","size":2,"platform":"linux"}"#,
            "7",
            "null",
        ] {
            let index = format!(r#"{{"manifests":[{odd},{{"digest":"$D","size":5}},{odd}]}}"#);
            let Ok(Document::Index(index)) = parse(&index, None) else { panic!("{odd}") };
            assert_eq!(index.manifests.iter().map(|entry| entry.size).collect::<Vec<_>>(), [5], "{odd}");
        }
        let error = parse(r#"{"manifests":[{"digest":"blake3:00","size":2},{"size":2}]}"#, None).unwrap_err();
        assert!(error.contains("no digest"), "{error}");
        assert!(parse(r#"{"manifests":{}}"#, None).is_err());
        assert!(parse(r#"{"manifests":[{"digest":]}"#, None).is_err());
    }

    #[test]
    fn the_media_type_says_more_than_the_schema() {
        let text = r#"{"schemaVersion":1,"mediaType":"$T","config":{"digest":"$D","size":2},"layers":[]}"#;
        let taken = |kind: &str| parse(&text.replace("$T", kind), None);
        assert!(matches!(taken(media_type::OCI_MANIFEST), Ok(Document::Manifest(_))));
        assert!(taken("").unwrap_err().contains("schema 1"));
    }

    #[test]
    fn what_is_no_image_is_named() {
        let says = |text: &str, what: &str| {
            let error = parse(text, None).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        };
        says(r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1");
        says("\"x\"", "not a valid image manifest");
        says("{}", "neither");
        says(r#"{"manifests":[],"layers":[]}"#, "two things");
        says(r#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"layers":[]}"#, "two things");
        says(r#"{"mediaType":"application/x"}"#, "application/x");
        says(
            r#"{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"$D","size":2},"layers":[]}"#,
            "helm",
        );
        says(r#"{"config":{"digest":"sha256:../..","size":2},"layers":[]}"#, "no digest");
    }
}
