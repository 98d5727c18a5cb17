//! Descriptors: what an index or a manifest says about each blob (OCI image spec, `descriptor.md`).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Digest;

/// Annotations by key.
pub type Annotations = BTreeMap<String, String>;

/// A reference to a blob, read tolerantly: only digest and size are required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the blob; empty if the document does not say.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// Other places to get the blob from (foreign layers, R4).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// In an index, what the manifest's image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescribedPlatform>,
    /// The type of an artifact that is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// The `platform` of a descriptor, as written there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedPlatform {
    /// `amd64`, `arm64`, ... (GOARCH).
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// `linux`, `windows`, ... (GOOS).
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// `v7`, `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system (Windows).
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The features of the operating system (Windows).
    #[serde(default, rename = "os.features", deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

/// Accepts `null` in place of a list, a map or a text, as Go programs write empty ones.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// The entries of an index. An invalid one, such as with an unknown digest or without a size, is dropped without the
/// others (R9).
#[derive(Clone, Debug, Default)]
pub struct Entries(pub Vec<Descriptor>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of descriptors")
            }
            fn visit_unit<E>(self) -> Result<Entries, E> {
                Ok(Entries::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let (mut entries, mut left_out, mut first) = (Vec::new(), 0_usize, None);
                while let Some(entry) = list.next_element::<&RawValue>()? {
                    match serde_json::from_str(entry.get()) {
                        Ok(entry) => entries.push(entry),
                        Err(why) => {
                            left_out += 1;
                            first.get_or_insert(why);
                        }
                    }
                }
                match first {
                    None => {}
                    Some(why) if entries.is_empty() => return Err(A::Error::custom(why)),
                    Some(why) => log::warn!("{left_out} entries of the index make no sense and are left out: {why}"),
                }
                Ok(Entries(entries))
            }
        }
        input.deserialize_any(List)
    }
}

/// The annotation by which BuildKit marks index entries that are attestations and not images.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

impl Descriptor {
    /// A descriptor with only the three fields that all have.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let (urls, annotations) = (Vec::new(), Annotations::new());
        Self { media_type: media_type.into(), digest, size, urls, annotations, platform: None, artifact_type: None }
    }

    /// Whether this is an attestation or another artifact among the images of an index (R4).
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
            || self.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown")
    }
}
