//! A manifest, index or config is read or refused; what an index offers for a platform is in the index, and a config has
//! as many diffIds as its manifest has layers.

use oci2ext4::image::select::candidates;
use oci2ext4::image::{Config, Document, Platform};

pub fn check(bytes: &[u8]) {
    match Document::parse(bytes, None) {
        Ok(Document::Index(index)) => {
            let wanted = Platform::new("linux", "arm", Some("v7"));
            let Ok(offered) = candidates(&index.manifests, &wanted) else { return };
            assert!(!offered.is_empty(), "an empty offer is an error");
            for entry in offered {
                assert!(index.manifests.iter().any(|e| std::ptr::eq(e, entry)), "offered from elsewhere");
                assert!(!entry.is_attestation(), "an attestation is no image");
            }
        }
        Ok(Document::Manifest(manifest)) => {
            let layers = manifest.layers.len();
            if let Ok(config) = Config::parse(bytes.to_vec(), layers) {
                assert_eq!(config.diff_ids.len(), layers);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for layers in 0..3 {
        if let Ok(config) = Config::parse(bytes.to_vec(), layers) {
            assert_eq!(config.diff_ids.len(), layers);
            assert_eq!(config.text.get().as_bytes(), bytes.trim_ascii(), "the config goes out verbatim (R6)");
        }
    }
}
