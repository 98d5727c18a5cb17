//! Recognises archives that are themselves images: those of `docker save`, and OCI layouts (I6).

/// Looks for the member names of an image.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ImageArchive {
    layout: bool,
    index: bool,
    docker_manifest: bool,
    layers: bool,
}

impl ImageArchive {
    /// Looks at the next member's name.
    pub(super) fn member(&mut self, path: &[u8]) {
        let mut path = path;
        while let Some(rest) = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"/")) {
            path = rest;
        }
        match path {
            b"oci-layout" => self.layout = true,
            b"index.json" => self.index = true,
            b"manifest.json" => self.docker_manifest = true,
            b"repositories" => self.layers = true,
            _ => {
                let mut parts = path.split(|&byte| byte == b'/');
                let (first, last) = (parts.next().unwrap_or_default(), parts.next());
                self.layers |= first == b"blobs" || (last == Some(b"layer.tar") && parts.next().is_none());
            }
        }
    }

    /// Whether the names seen are those of an image.
    pub(super) fn is_image(self) -> bool {
        (self.layout && self.index) || (self.docker_manifest && self.layers)
    }
}

#[cfg(test)]
mod tests {
    use super::ImageArchive;

    fn is_image(names: &[&str]) -> bool {
        let mut archive = ImageArchive::default();
        names.iter().for_each(|name| archive.member(name.as_bytes()));
        archive.is_image()
    }

    #[test]
    fn images_are_told_from_trees_that_hold_one() {
        assert!(is_image(&["blobs/", "blobs/sha256/", "index.json", "oci-layout"]));
        assert!(is_image(&["./oci-layout", "./index.json"]));
        assert!(is_image(&["0a1b/layer.tar", "0a1b/json", "manifest.json"]));
        assert!(is_image(&["blobs/sha256/0a1b", "manifest.json", "repositories"]));
        assert!(!is_image(&["images/oci-layout", "images/index.json", "images/manifest.json"]));
        assert!(!is_image(&["manifest.json", "index.json"]));
        assert!(!is_image(&["var/lib/0a1b/layer.tar", "manifest.json"]));
    }
}
