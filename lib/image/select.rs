//! Chooses one image from an index (R4).

use std::collections::BTreeSet;

use super::{Descriptor, Platform, media_type};

/// The most platforms that an error lists.
const MAX_SHOWN: usize = 32;

/// Why nothing in an index can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// There is no image for the wanted platform.
    #[error("no image for {wanted}; there is {}", few(offered))]
    NoPlatform {
        /// The wanted platform.
        wanted: Box<Platform>,
        /// The platforms in the index.
        offered: BTreeSet<Platform>,
    },
    /// The index is empty or contains only attestations.
    #[error("the image index is empty")]
    Empty,
}

/// The candidates, best first: the exact platform, then compatible variants, then entries without a platform (they may be
/// nested indexes, or single images). Windows versions stay in the order of the index.
///
/// # Errors
/// When there are none; the error lists what the index offers.
pub fn candidates<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Result<Vec<&'a Descriptor>, SelectError> {
    let images: Vec<&Descriptor> = entries.iter().filter(|entry| is_candidate(entry)).collect();
    if images.is_empty() {
        return Err(SelectError::Empty);
    }
    let mut ranked: Vec<(u32, &Descriptor)> = images
        .iter()
        .filter_map(|entry| match Platform::stated(entry) {
            Some(platform) => wanted.distance(&platform).map(|d| (d, *entry)),
            None => Some((u32::MAX, *entry)),
        })
        .collect();
    if ranked.is_empty() {
        return Err(no_platform(wanted, images.into_iter().filter_map(Platform::stated)));
    }
    ranked.sort_by_key(|(distance, _)| *distance); // stable: equals stay in the order of the index
    Ok(ranked.into_iter().map(|(_, entry)| entry).collect())
}

/// The error that lists `offered`.
pub fn no_platform(wanted: &Platform, offered: impl Iterator<Item = Platform>) -> SelectError {
    SelectError::NoPlatform { wanted: Box::new(wanted.clone()), offered: offered.collect() }
}

/// The first items of a list, and how many more there are.
fn few(offered: &BTreeSet<Platform>) -> String {
    let shown = offered.iter().take(MAX_SHOWN).map(Platform::to_string).collect::<Vec<_>>().join(", ");
    match offered.len().saturating_sub(MAX_SHOWN) {
        0 if shown.is_empty() => "none that says its platform".into(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn is_candidate(entry: &Descriptor) -> bool {
    let kind = media_type::essence(&entry.media_type);
    let is_document = kind.is_empty() || media_type::is_index(&kind) || media_type::is_manifest(&kind);
    // Schema 1 stays a candidate so that it is refused with its name if it is chosen.
    let is_schema1 = kind.starts_with("application/vnd.docker.distribution.manifest.v1");
    // For an image's manifest, the artifact type is the media type of its config (descriptor.md).
    let artifact = entry.artifact_type.as_deref().map(media_type::essence).unwrap_or_default();
    !entry.is_attestation() && media_type::is_config(&artifact) && (is_document || is_schema1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn entry(platform: &str, size: u64) -> Descriptor {
        let mut parts = platform.split('/');
        let json = serde_json::json!({
            "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "size": size,
            "platform": {"os": parts.next(), "architecture": parts.next(), "variant": parts.next()},
        });
        serde_json::from_value(json).unwrap()
    }

    fn chosen(entries: &[Descriptor], wanted: &str) -> Result<u64, String> {
        candidates(entries, &wanted.parse().unwrap()).map(|c| c[0].size).map_err(|e| e.to_string())
    }

    #[test]
    fn exact_then_compatible_then_an_error_that_lists() {
        let entries = [
            entry("unknown/unknown", 0),
            entry("linux/arm/v5", 1),
            entry("linux/arm/v6", 2),
            entry("linux/amd64", 3),
            entry("linux/arm64/v8", 4),
        ];
        assert_eq!(chosen(&entries, "linux/amd64"), Ok(3));
        assert_eq!(chosen(&entries, "linux/arm64"), Ok(4));
        assert_eq!(chosen(&entries, "linux/arm/v7"), Ok(2));
        assert_eq!(chosen(&entries, "linux/arm/v5"), Ok(1));
        let error = chosen(&entries, "linux/s390x").unwrap_err();
        assert_eq!(error, "no image for linux/s390x; there is linux/amd64, linux/arm/v5, linux/arm/v6, linux/arm64");
        assert_eq!(chosen(&entries[..1], "linux/amd64").unwrap_err(), "the image index is empty");
        let many: Vec<Descriptor> = (100..140).map(|i| entry(&format!("linux/a{i}"), i)).collect();
        let error = chosen(&many, "linux/s390x").unwrap_err();
        assert!(error.ends_with(", linux/a130, linux/a131 and 8 more"), "{error}");
    }
}
