//! Images composed in code: layers, configs, manifests, indexes, of every make.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use oci2ext4::image::{Algorithm, Hasher};
use serde_json::{Value, json};

const OCI: &str = "application/vnd.oci.image";
const DOCKER: &str = "application/vnd.docker";

/// `sha256:...` of these bytes.
pub fn digest(bytes: &[u8]) -> String {
    hash(Algorithm::Sha256, bytes)
}

/// `sha512:...` of these bytes.
pub fn sha512(bytes: &[u8]) -> String {
    hash(Algorithm::Sha512, bytes)
}

fn hash(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish().to_string()
}

/// The host's architecture in OCI's words.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A blob or manifest that a registry or layout holds.
#[derive(Clone)]
pub struct Part {
    pub digest: String,
    pub media_type: String,
    pub bytes: Arc<[u8]>,
    pub is_manifest: bool,
    /// Whether the tag names it.
    pub is_root: bool,
}

/// What can be pushed.
pub trait Artifact {
    /// Everything that belongs to it; the root is the last.
    fn parts(&self) -> Vec<Part>;

    fn root(&self) -> Part {
        self.parts().pop().expect("a root")
    }

    fn descriptor(&self) -> Value {
        let root = self.root();
        json!({ "mediaType": root.media_type, "digest": root.digest, "size": root.bytes.len() })
    }
}

/// One layer.
#[derive(Clone)]
pub struct Layer {
    pub bytes: Arc<[u8]>,
    pub digest: String,
    pub diff_id: String,
    /// The part after `application/vnd.oci.image.layer.v1.`, or a whole media type.
    pub media_type: String,
    pub annotations: Option<Value>,
    pub urls: Vec<String>,
    /// Whether the registry has it; foreign layers stand elsewhere.
    pub pushed: bool,
}

impl Layer {
    /// One file, compressed by gzip.
    pub fn file(path: &str, content: &str) -> Self {
        Self::gzip(&tar_of(&[(path, content.as_bytes())]))
    }

    /// One file of about `len` bytes that no compression makes smaller.
    pub fn noise(seed: u64, len: usize) -> Self {
        Self::gzip(&tar_of(&[("noise", &noise(seed, len))]))
    }

    /// These tar bytes, compressed by gzip.
    pub fn gzip(tar: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(tar).unwrap();
        Self::stored(encoder.finish().unwrap(), digest(tar), "tar+gzip")
    }

    pub fn zstd(tar: &[u8]) -> Self {
        Self::stored(zstd::stream::encode_all(tar, 1).unwrap(), digest(tar), "tar+zstd")
    }

    pub fn plain(tar: &[u8]) -> Self {
        Self::stored(tar.to_vec(), digest(tar), "tar")
    }

    fn stored(bytes: Vec<u8>, diff_id: String, kind: &str) -> Self {
        let digest = digest(&bytes);
        let media_type = format!("{OCI}.layer.v1.{kind}");
        Self { bytes: bytes.into(), digest, diff_id, media_type, annotations: None, urls: Vec::new(), pushed: true }
    }

    /// Named by SHA-512.
    pub fn sha512(mut self) -> Self {
        self.digest = sha512(&self.bytes);
        self
    }

    pub fn media_type(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.media_type);
        self
    }

    pub fn annotated(mut self, annotations: Value) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// Not pushed; to be had at these URLs.
    pub fn foreign(mut self, urls: &[String]) -> Self {
        self.urls = urls.to_vec();
        self.pushed = false;
        self.media_type(&format!("{DOCKER}.image.rootfs.foreign.diff.tar.gzip"))
    }

    fn descriptor(&self) -> Value {
        let mut descriptor = json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() });
        if let Some(annotations) = &self.annotations {
            descriptor["annotations"] = annotations.clone();
        }
        if !self.urls.is_empty() {
            descriptor["urls"] = json!(self.urls);
        }
        descriptor
    }
}

/// Bytes that look random and are the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// A tar of these files.
pub(super) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An image for one platform.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Layer>,
    os: String,
    architecture: String,
    variant: Option<String>,
    docker: bool,
    states_media_type: bool,
    sha512: bool,
    config: Option<Vec<u8>>,
    edit: Option<fn(&mut Value)>,
}

impl Image {
    /// An OCI image for the host's platform.
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            layers: layers.into_iter().collect(),
            os: "linux".to_owned(),
            architecture: host_architecture().to_owned(),
            variant: None,
            docker: false,
            states_media_type: true,
            sha512: false,
            config: None,
            edit: None,
        }
    }

    /// One small layer.
    pub fn small(content: &str) -> Self {
        Self::of([Layer::file("file", content)])
    }

    /// For `os/architecture[/variant]`.
    pub fn platform(mut self, platform: &str) -> Self {
        let mut words = platform.split('/').map(str::to_owned);
        self.os = words.next().unwrap();
        self.architecture = words.next().unwrap();
        self.variant = words.next();
        self
    }

    /// As Docker's schema 2.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        for layer in &mut self.layers {
            if layer.media_type.starts_with(OCI) {
                layer.media_type = format!("{DOCKER}.image.rootfs.diff.tar.gzip");
            }
        }
        self
    }

    /// The manifest does not state its media type.
    pub fn without_media_type(mut self) -> Self {
        self.states_media_type = false;
        self
    }

    /// Manifest and config named by SHA-512.
    pub fn sha512(mut self) -> Self {
        self.sha512 = true;
        self
    }

    /// With exactly these bytes as its config.
    pub fn config_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.config = Some(bytes.into());
        self
    }

    /// With its manifest changed as the last step.
    pub fn edited(mut self, edit: fn(&mut Value)) -> Self {
        self.edit = Some(edit);
        self
    }

    /// The bytes of its config.
    pub fn config(&self) -> Vec<u8> {
        if let Some(config) = &self.config {
            return config.clone();
        }
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| &*layer.diff_id).collect();
        let mut config = json!({
            "created": "2001-02-03T04:05:06Z",
            "architecture": self.architecture,
            "os": self.os,
            "config": { "Cmd": ["/init"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &self.variant {
            config["variant"] = json!(variant);
        }
        config.to_string().into_bytes()
    }

    fn digest_of(&self, bytes: &[u8]) -> String {
        if self.sha512 { sha512(bytes) } else { digest(bytes) }
    }

    /// Its descriptor with its platform, as an index lists it.
    pub fn listed(&self) -> Value {
        let mut descriptor = self.descriptor();
        descriptor["platform"] = json!({ "architecture": self.architecture, "os": self.os });
        if let Some(variant) = &self.variant {
            descriptor["platform"]["variant"] = json!(variant);
        }
        descriptor
    }
}

impl Artifact for Image {
    fn parts(&self) -> Vec<Part> {
        let config = self.config();
        let config_type =
            if self.docker { format!("{DOCKER}.container.image.v1+json") } else { format!("{OCI}.config.v1+json") };
        let media_type = if self.docker {
            format!("{DOCKER}.distribution.manifest.v2+json")
        } else {
            format!("{OCI}.manifest.v1+json")
        };
        let layers: Vec<Value> = self.layers.iter().map(Layer::descriptor).collect();
        let config_digest = self.digest_of(&config);
        let mut manifest = json!({
            "schemaVersion": 2,
            "config": { "mediaType": config_type, "digest": config_digest, "size": config.len() },
            "layers": layers,
        });
        if self.states_media_type {
            manifest["mediaType"] = json!(media_type);
        }
        if let Some(edit) = self.edit {
            edit(&mut manifest);
        }
        let manifest = manifest.to_string().into_bytes();
        let blob = |digest: &str, media_type: &str, bytes: Arc<[u8]>| Part {
            digest: digest.to_owned(),
            media_type: media_type.to_owned(),
            bytes,
            is_manifest: false,
            is_root: false,
        };
        let pushed = self.layers.iter().filter(|layer| layer.pushed);
        let mut parts: Vec<Part> =
            pushed.map(|layer| blob(&layer.digest, &layer.media_type, Arc::clone(&layer.bytes))).collect();
        parts.push(blob(&config_digest, &config_type, config.into()));
        parts.push(root_part(self.digest_of(&manifest), media_type, manifest));
        parts
    }
}

fn root_part(digest: String, media_type: String, bytes: Vec<u8>) -> Part {
    Part { digest, media_type, bytes: bytes.into(), is_manifest: true, is_root: true }
}

/// An index of images, of indexes, or of anything.
#[derive(Clone, Default)]
pub struct Index {
    entries: Vec<Value>,
    parts: Vec<Part>,
    docker: bool,
    silent: bool,
}

impl Index {
    /// These images, each under its platform.
    pub fn of<'a>(images: impl IntoIterator<Item = &'a Image>) -> Self {
        images.into_iter().fold(Self::default(), |index, image| index.entry(image.listed(), image))
    }

    /// One more entry with this descriptor, for this artifact.
    pub fn entry(mut self, descriptor: Value, artifact: &impl Artifact) -> Self {
        self.entries.push(descriptor);
        self.parts.extend(artifact.parts().into_iter().map(|part| Part { is_root: false, ..part }));
        self
    }

    /// An index within, without a platform of its own.
    pub fn nested(self, index: &Self) -> Self {
        self.entry(index.descriptor(), index)
    }

    /// One more entry that leads nowhere.
    pub fn dangling(mut self, descriptor: Value) -> Self {
        self.entries.push(descriptor);
        self
    }

    /// What BuildKit lists beside an image: provenance, under the platform unknown/unknown.
    pub fn attestation(self, of: &Image) -> Self {
        let statement = Layer::file("statement", "in-toto").media_type("application/vnd.in-toto+json");
        let attestation = Image::of([statement]).platform("unknown/unknown");
        let mut descriptor = attestation.listed();
        descriptor["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": of.root().digest,
        });
        self.entry(descriptor, &attestation)
    }

    /// As Docker's manifest list.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// The index does not state its media type.
    pub fn without_media_type(mut self) -> Self {
        self.silent = true;
        self
    }
}

impl Artifact for Index {
    fn parts(&self) -> Vec<Part> {
        let media_type = if self.docker {
            format!("{DOCKER}.distribution.manifest.list.v2+json")
        } else {
            format!("{OCI}.index.v1+json")
        };
        let mut document = json!({ "schemaVersion": 2, "manifests": self.entries });
        if !self.silent {
            document["mediaType"] = json!(media_type);
        }
        let bytes = document.to_string().into_bytes();
        let mut parts = self.parts.clone();
        parts.push(root_part(digest(&bytes), media_type, bytes));
        parts
    }
}
