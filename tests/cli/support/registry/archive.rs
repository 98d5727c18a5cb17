//! The same images as layouts and archives on disk.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::image::{Artifact, Image, Layer, tar_of};

/// Writes an OCI image layout, adding to what is there, with these reference names.
pub fn oci_layout(directory: &Path, named: &[(&str, &dyn LayoutArtifact)]) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut manifests = Vec::new();
    for (name, artifact) in named {
        for part in artifact.all_parts() {
            let (algorithm, hex) = part.digest.split_once(':').unwrap();
            let blobs = directory.join("blobs").join(algorithm);
            fs::create_dir_all(&blobs).unwrap();
            fs::write(blobs.join(hex), &part.bytes).unwrap();
        }
        let mut descriptor = artifact.root_descriptor();
        if !name.is_empty() {
            descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        manifests.push(descriptor);
    }
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
}

/// [`Artifact`], whatever its type.
pub trait LayoutArtifact {
    fn all_parts(&self) -> Vec<super::Part>;
    fn root_descriptor(&self) -> serde_json::Value;
}

impl<A: Artifact> LayoutArtifact for A {
    fn all_parts(&self) -> Vec<super::Part> {
        self.parts()
    }

    fn root_descriptor(&self) -> serde_json::Value {
        self.descriptor()
    }
}

/// An OCI layout as one tar, `index.json` last as some tools write it.
pub fn oci_archive(named: &[(&str, &dyn LayoutArtifact)]) -> Vec<u8> {
    let scratch = crate::support::scratch();
    oci_layout(scratch.path(), named);
    let mut files = vec![("oci-layout".to_owned(), fs::read(scratch.path().join("oci-layout")).unwrap())];
    for (_, artifact) in named {
        for part in artifact.all_parts() {
            files.push((format!("blobs/{}", part.digest.replace(':', "/")), part.bytes.to_vec()));
        }
    }
    files.push(("index.json".to_owned(), fs::read(scratch.path().join("index.json")).unwrap()));
    pack(&files)
}

/// `docker save` of today: manifest.json, configs and layers by name; the layers uncompressed.
pub fn docker_archive(named: &[(&[&str], &Image)]) -> Vec<u8> {
    let mut files = Vec::new();
    let mut manifest = Vec::new();
    for (tags, image) in named {
        let config = image.config();
        let config_name = format!("{}.json", super::digest(&config).trim_start_matches("sha256:"));
        let mut layers = Vec::new();
        for layer in &image.layers {
            let name = format!("{}.tar", layer.diff_id.trim_start_matches("sha256:"));
            files.push((name.clone(), uncompressed(&layer.bytes)));
            layers.push(name);
        }
        manifest.push(json!({ "Config": config_name, "RepoTags": tags, "Layers": layers }));
        files.push((config_name, config));
    }
    files.push(("manifest.json".to_owned(), json!(manifest).to_string().into_bytes()));
    pack(&files)
}

/// `docker save` since version 25: an OCI layout with uncompressed layers, whose names are annotations of containerd's,
/// and a `manifest.json` beside.
pub fn docker_archive_25(named: &[(&str, &Image)]) -> Vec<u8> {
    let (mut files, mut manifests, mut saved) = (Vec::new(), Vec::new(), Vec::new());
    for (name, image) in named {
        let plain = |layer: &Layer| Layer::plain(&uncompressed(&layer.bytes));
        let mut image = (*image).clone();
        image.layers = image.layers.iter().map(plain).collect();
        let path = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
        for part in image.parts() {
            files.push((path(&part.digest), part.bytes.to_vec()));
        }
        let mut descriptor = image.descriptor();
        let tag = name.rsplit(':').next().unwrap();
        descriptor["annotations"] = json!({ "io.containerd.image.name": format!("docker.io/library/{name}"), "org.opencontainers.image.ref.name": tag });
        manifests.push(descriptor);
        let layers: Vec<String> = image.layers.iter().map(|layer| path(&layer.digest)).collect();
        saved.push(json!({ "Config": path(&super::digest(&image.config())), "RepoTags": [name], "Layers": layers }));
    }
    files.push((
        "index.json".to_owned(),
        json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_bytes(),
    ));
    files.push(("manifest.json".to_owned(), json!(saved).to_string().into_bytes()));
    files.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    pack(&files)
}

/// `docker save` before version 25: a directory for each layer; a layer that occurs twice is a symlink.
pub fn docker_archive_old(tags: &[&str], image: &Image) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    let config = image.config();
    let config_name = format!("{}.json", super::digest(&config).trim_start_matches("sha256:"));
    let ids: Vec<String> = (0..image.layers.len()).map(|i| format!("{:064x}", 0xabc_0000 + i)).collect();
    let mut links = Vec::new();
    for (i, (id, layer)) in ids.iter().zip(&image.layers).enumerate() {
        add(&format!("{id}/VERSION"), b"1.0");
        add(&format!("{id}/json"), b"{}");
        match image.layers[..i].iter().position(|earlier| earlier.diff_id == layer.diff_id) {
            Some(first) => links.push((format!("{id}/layer.tar"), format!("../{}/layer.tar", ids[first]))),
            None => add(&format!("{id}/layer.tar"), &uncompressed(&layer.bytes)),
        }
    }
    let layers: Vec<String> = ids.iter().map(|id| format!("{id}/layer.tar")).collect();
    let manifest = json!([{ "Config": config_name, "RepoTags": tags, "Layers": layers }]);
    add(&config_name, &config);
    add("manifest.json", manifest.to_string().as_bytes());
    add("repositories", b"{}");
    for (name, target) in links {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.into_inner().unwrap()
}

fn uncompressed(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [0x1f, 0x8b, ..] => {
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut out).expect("a gzip layer");
            out
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::stream::decode_all(bytes).expect("a zstd layer"),
        _ => bytes.to_vec(),
    }
}

fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    tar_of(&files)
}
