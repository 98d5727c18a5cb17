//! Docker's documents, wrapped in an OCI index: readers of image layouts accept only OCI's media types.

use serde_json::{Value, json};

use crate::image::layer_manifest::PlatformRecord;
use crate::image::{Descriptor, Digest, Platform, media_type};

/// An index for `document`, which `target` describes, and its descriptor; `None` if the document is OCI's. `platform` is
/// what its image runs on.
pub(super) fn wrap(target: &Descriptor, document: &[u8], platform: Option<&Platform>) -> Option<(Descriptor, Vec<u8>)> {
    let manifests = match target.media_type.as_str() {
        // A list has the form of an index; only its media type differs.
        media_type::DOCKER_LIST => serde_json::from_slice::<Value>(document).ok()?.get("manifests")?.clone(),
        media_type::DOCKER_MANIFEST => {
            let mut only = json!({ "mediaType": target.media_type, "digest": target.digest, "size": target.size });
            only["platform"] = match platform {
                Some(platform) => json!(PlatformRecord::from(platform)),
                None => json!({"os": "linux", "architecture": "unknown"}),
            };
            json!([only])
        }
        _ => return None,
    };
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    let bytes = index.to_string().into_bytes();
    Some((Descriptor::new(media_type::OCI_INDEX, Digest::sha256(&bytes), bytes.len() as u64), bytes))
}
