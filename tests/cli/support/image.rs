//! Images to feed the pipeline with, as OCI layouts on disk.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::filter::{Filter, shell};
use super::tools::{needs, needs_root, repository, test_cache};

/// The Debian image of `tests/image/debian` and what `umoci unpack` made of it.
pub struct Debian {
    /// An OCI layout with the tags `debian`, `nginx` and `latest`.
    pub layout: PathBuf,
    /// The tree an extractor leaves on disk of `latest`.
    pub unpacked: PathBuf,
}

/// The image that buildah makes by `tests/image/buildah`.
pub struct Buildah {
    /// An OCI layout with the tag `latest`.
    pub layout: PathBuf,
    /// The tree an extractor leaves on disk.
    pub unpacked: PathBuf,
    /// The image's top layer in buildah's own storage, an overlay2 directory.
    pub top: PathBuf,
}

/// Builds the Debian image, or takes the one that this version of its script built before.
pub fn debian() -> Debian {
    needs_root("build the Debian image");
    needs(&["mmdebstrap", "umoci", "setcap", "setfacl", "setfattr", "tar"]);
    let image = cached("debian", &script_key("debian"), |image| {
        Filter::new(script("debian")).arg(image).run().succeeds();
    });
    Debian { layout: image.join("layout"), unpacked: image.join("unpacked") }
}

/// What `umoci unpack` makes of a tag of the Debian image.
pub fn debian_unpacked(tag: &str) -> PathBuf {
    let layout = debian().layout;
    cached(&format!("unpacked-{tag}"), &script_key("debian"), |target| {
        // In two steps, so that it appears whole or not at all.
        let bundle = target.with_extension("bundle");
        let _ = fs::remove_dir_all(&bundle);
        let image = format!("{}:{tag}", layout.display());
        Filter::tool("umoci").args(["unpack", "--image", &image]).arg(&bundle).run().succeeds();
        fs::rename(&bundle, target).expect("unpacked");
    })
    .join("rootfs")
}

/// Builds the image of the Dockerfile in `tests/image/buildah`, or takes the one built before.
pub fn buildah() -> Buildah {
    needs(&["buildah", "jq"]);
    let base = debian().layout;
    let key = &sha256(format!("{} {}", script_key("buildah"), script_key("debian")).as_bytes())[..16];
    let image = cached("buildah", key, |image| {
        Filter::new(script("buildah")).arg(image).arg(&base).run().succeeds();
    });
    let top = fs::read_to_string(image.join("top")).expect("top");
    Buildah {
        layout: image.join("layout"),
        unpacked: image.join("unpacked"),
        top: image.join("store/overlay").join(top.trim()),
    }
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/image").join(name)
}

fn script_key(name: &str) -> String {
    sha256(&fs::read(script(name)).expect("a script in tests/image"))[..16].to_owned()
}

/// The directory `kind-key` of the cache, made when it is not there; those with other keys go.
fn cached(kind: &str, key: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = test_cache();
    let target = cache.join(format!("{kind}-{key}"));
    fs::create_dir_all(&cache).expect("test cache");
    // Tests run at once, and so do test binaries: one builds, the others wait for it.
    let lock = fs::File::create(cache.join(format!("{kind}.lock"))).expect("lock file");
    rustix::fs::flock(lock.as_fd(), rustix::fs::FlockOperation::LockExclusive).expect("lock");
    if !target.exists() {
        for old in fs::read_dir(&cache).expect("test cache").flatten() {
            let name = old.file_name().to_string_lossy().into_owned();
            if name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-')) {
                fs::remove_dir_all(old.path()).expect("removing an old image");
            }
        }
        make(&target);
    }
    target
}

/// Builds the small image of `make demo` in `directory` and returns its layout.
pub fn sample(directory: &Path) -> PathBuf {
    let layout = directory.join("sample");
    Filter::new(repository().join("tests/demo/sample-image")).arg(&layout).run().succeeds();
    layout
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// An OCI layout made from tar archives, bottom layer first.
pub struct Layout {
    path: PathBuf,
    layers: Vec<serde_json::Value>,
    diff_ids: Vec<String>,
}

impl Layout {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(path.join("blobs/sha256")).expect("layout");
        Self { path, layers: Vec::new(), diff_ids: Vec::new() }
    }

    /// Adds a layer from a tar archive in a file.
    #[must_use]
    pub fn layer_file(mut self, tar: &Path, compression: Compression) -> Self {
        let compressed = self.path.join("layer");
        let (suffix, command) = match compression {
            Compression::Plain => ("tar", "cat"),
            Compression::Gzip => ("tar+gzip", "gzip -1 -n"),
            Compression::Zstd => ("tar+zstd", "zstd -q -1 -T2"),
            Compression::Xz => ("tar+xz", "xz -1"),
            Compression::Bzip2 => ("tar+bzip2", "bzip2 -1"),
        };
        let script = format!("sha256sum <\"$0\" | cut -d' ' -f1; {command} <\"$0\" >\"$1\"; sha256sum <\"$1\"");
        let digests = shell(&script).arg(tar).arg(&compressed).run().succeeds();
        let mut digests = digests.text().split_whitespace();
        let (diff_id, digest) = (digests.next().expect("diffId"), digests.next().expect("digest"));
        self.layers.push(json!({
            "mediaType": format!("application/vnd.oci.image.layer.v1.{suffix}"),
            "digest": format!("sha256:{digest}"),
            "size": fs::metadata(&compressed).expect("layer").len(),
        }));
        self.diff_ids.push(format!("sha256:{diff_id}"));
        fs::rename(&compressed, self.path.join("blobs/sha256").join(digest)).expect("layer");
        self
    }

    /// Adds a layer from a tar archive in memory.
    #[must_use]
    pub fn layer(self, tar: &[u8], compression: Compression) -> Self {
        let file = self.path.join("tar");
        fs::write(&file, tar).expect("layer");
        let done = self.layer_file(&file, compression);
        fs::remove_file(&file).expect("layer");
        done
    }

    /// Writes config, manifest and index (tag `latest`) and returns the layout's path.
    pub fn finish(self) -> PathBuf {
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        });
        let config = self.document("application/vnd.oci.image.config.v1+json", &config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": self.layers});
        let mut manifest = self.document("application/vnd.oci.image.manifest.v1+json", &manifest);
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(self.path.join("index.json"), index.to_string()).expect("index.json");
        fs::write(self.path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("oci-layout");
        self.path
    }

    /// Stores a JSON document as a blob and returns its descriptor.
    fn document(&self, media_type: &str, document: &serde_json::Value) -> serde_json::Value {
        let text = document.to_string();
        let digest = sha256(text.as_bytes());
        fs::write(self.path.join("blobs/sha256").join(&digest), &text).expect("blob");
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": text.len()})
    }
}

/// The host's architecture in OCI's words.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    super::snapshot::hex(&Sha256::digest(bytes))
}
