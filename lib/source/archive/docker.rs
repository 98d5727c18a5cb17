//! `manifest.json` of docker save, old and new (moby, image/tarexport).
//!
//! ```text
//! [{"Config": "HEX.json" | "blobs/sha256/HEX", "RepoTags": ["nginx:latest"] | null, "Layers": ["ID/layer.tar", ...]}]
//! ```

use serde::Deserialize;
use serde_json::json;

use super::super::layout::list;
use super::super::resolve::{Image, check_platform};
use super::super::{Error, Options};
use super::members::StoredBlob;
use super::unpack::Unpacked;
use crate::codec::Compression;
use crate::image::{Config, Descriptor, Digest, Document, MAX_DOCUMENT, Platform, is_same_reference, media_type};
use crate::store::Store;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Finds the image with this `name` and writes an OCI manifest for it to the store, since the archive has none.
pub(super) fn find(
    store: &Store,
    unpacked: &Unpacked,
    shown: &str,
    name: Option<&str>,
    options: &Options,
) -> Result<Image, Error> {
    let error = |what: String| Error::NotFound { image: shown.to_owned(), what };
    let bytes = unpacked.manifest.as_deref().unwrap_or_default();
    let saved: Vec<Saved> =
        serde_json::from_slice(bytes).map_err(|e| error(format!("manifest.json is not valid: {e}")))?;
    let saved = choose(&saved, name).map_err(error)?;
    let layers = saved.layers.as_deref().unwrap_or_default();
    let blob =
        |member: &str| unpacked.members.blob(member).ok_or_else(|| error(format!("{member} is not in the archive")));
    let config_blob = blob(&saved.config)?;
    let config = config(store, saved, config_blob, layers.len(), shown)?;
    let mut descriptors = Vec::new();
    for (index, member) in layers.iter().enumerate() {
        let blob = blob(member)?;
        let compression = compression(store, blob)?;
        let diff_id = &config.diff_ids[index];
        // Other layers are checked when they are decoded (F12).
        if compression == Compression::Plain
            && blob.digest != *diff_id
            && blob.digest.algorithm() == diff_id.algorithm()
        {
            let what = format!("the bytes of {member} have digest {}, not {diff_id}", blob.digest);
            return Err(Error::Size { image: shown.to_owned(), digest: diff_id.clone(), what });
        }
        let kind = format!("{}{}", media_type::OCI_LAYER, compression.suffix());
        descriptors.push(Descriptor::new(&kind, blob.digest.clone(), blob.size));
    }
    let config_descriptor = Descriptor::new(media_type::OCI_CONFIG, config_blob.digest.clone(), config_blob.size);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config_descriptor,
        "layers": descriptors,
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::sha256(&manifest);
    store.put(&digest, &manifest)?;
    let descriptor = Descriptor::new(media_type::OCI_MANIFEST, digest.clone(), manifest.len() as u64);
    let Ok(Document::Manifest(manifest)) = Document::parse(&manifest, None) else {
        return Err(error("no manifest can be made for it".into()));
    };
    let wanted = options.platform.clone().unwrap_or_else(Platform::host);
    check_platform(config.platform.as_ref(), &wanted, options.platform.is_some(), shown)?;
    let platform = config.platform.clone();
    Ok(Image { descriptor, manifest, config, platform })
}

fn config(store: &Store, saved: &Saved, blob: &StoredBlob, layers: usize, shown: &str) -> Result<Config, Error> {
    let size = |what| Error::Size { image: shown.to_owned(), digest: blob.digest.clone(), what };
    if blob.size > MAX_DOCUMENT {
        return Err(size(format!("{} bytes are too many for a config, {MAX_DOCUMENT} at most", blob.size)));
    }
    // In old archives, its name is its digest.
    let stem = saved.config.strip_suffix(".json").unwrap_or_default();
    let named = format!("sha256:{stem}").parse::<Digest>();
    if named.is_ok_and(|named| named != blob.digest) {
        return Err(size(format!("the bytes of {} have another digest", saved.config)));
    }
    let bytes = store.document(&blob.digest, MAX_DOCUMENT)?;
    let bytes = bytes.ok_or_else(|| size("vanished from the blob store".into()))?;
    Config::parse(bytes, layers).map_err(|source| Error::Config {
        image: shown.to_owned(),
        digest: blob.digest.clone(),
        source,
    })
}

/// The image with this name (`nginx`, `docker.io/library/nginx:latest`, a config's digest, `@0` for the first as in
/// skopeo), or the only one.
fn choose<'a>(saved: &'a [Saved], name: Option<&str>) -> Result<&'a Saved, String> {
    let tags = |image: &'a Saved| image.repo_tags.iter().flatten();
    let Some(name) = name else {
        return match saved {
            [] => Err("the archive holds no image".into()),
            [only] => Ok(only),
            _ => Err(format!("several images, so name one behind a colon: {}", offered(saved))),
        };
    };
    if let Some(number) = name.strip_prefix('@').and_then(|number| number.parse::<usize>().ok()) {
        return saved.get(number).ok_or_else(|| format!("no image {name:?}; there are {}", saved.len()));
    }
    let found = saved.iter().find(|image| {
        let is_tag = |tag: &String| tag == name || is_same_reference(tag, name);
        let digest = name.strip_prefix("sha256:").unwrap_or(name);
        let is_config = digest.len() == 64 && image.config.contains(digest);
        tags(image).any(is_tag) || is_config
    });
    found.ok_or_else(|| format!("no image {name:?}; there is {}", offered(saved)))
}

fn offered(saved: &[Saved]) -> String {
    list(saved, |image| match image.repo_tags.as_deref() {
        Some([first, ..]) => first.clone(),
        _ => image.config.clone(),
    })
}

fn compression(store: &Store, blob: &StoredBlob) -> Result<Compression, Error> {
    use std::io::Read;
    let path = store.blob_path(&blob.digest);
    let fail = |e: &dyn std::fmt::Display| Error::Path { path: path.clone(), what: e.to_string() };
    let mut head = Vec::new();
    let file = store.open_blob(&blob.digest)?.ok_or_else(|| fail(&"vanished from the blob store"))?;
    file.take(Compression::MAGIC_LEN as u64).read_to_end(&mut head).map_err(|e| fail(&e))?;
    Compression::of(&head).map_err(|e| fail(&e))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn images_are_found_by_any_form_of_their_name() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!(
            r#"[{{"Config":"a.json","RepoTags":["nginx:latest","nginx:1"],"Layers":[]}},
                {{"Config":"blobs/sha256/{hex}","RepoTags":null,"Layers":null}}]"#
        );
        let saved: Vec<Saved> = serde_json::from_str(&text).unwrap();
        let found = |name: &str| choose(&saved, Some(name)).map(|s| s.config.clone());
        for name in ["nginx", "nginx:1", "docker.io/library/nginx:latest", "library/nginx"] {
            assert_eq!(found(name).unwrap(), "a.json", "{name}");
        }
        assert_eq!(found("@0").unwrap(), "a.json");
        assert!(found("@2").unwrap_err().contains("there are 2"));
        assert!(found(&format!("sha256:{hex}")).unwrap().ends_with(hex));
        assert!(found("nginx:2").unwrap_err().contains("there is nginx:latest, blobs/sha256/"));
        assert!(choose(&saved, None).err().unwrap().contains("several images"));
        assert!(choose(&saved[..1], None).is_ok());
    }
}
