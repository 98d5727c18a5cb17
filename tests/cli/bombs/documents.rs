//! Bombs in manifests, configs and layer manifests.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::Bomb;
use crate::support::registry::{Image, Layer, Puller, Registry, Reply, any, digest, oci_archive, oci_layout};
use crate::support::script::{Item, What};
use crate::support::stack::tar;
use crate::support::{Filter, scratch, sha256};

/// An OCI layout whose manifest is these bytes.
fn layout(directory: &Path, manifest: &[u8]) -> std::path::PathBuf {
    let layout = directory.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(blobs.join(sha256(manifest)), manifest).unwrap();
    let descriptor = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest), "size": manifest.len(),
        "annotations": { "org.opencontainers.image.ref.name": "latest" },
    });
    fs::write(layout.join("index.json"), json!({ "schemaVersion": 2, "manifests": [descriptor] }).to_string()).unwrap();
    layout
}

const FETCH: &str = r#"oci-fetch -d "$0" "oci:$1""#;

#[test]
fn a_manifest_of_100_000_layers() {
    let scratch = scratch();
    let bomb = Bomb::in_directory(scratch.path());
    // The second is as many as the bound on a document's bytes lets through.
    for (layers, says) in [(100_000, "longer than 8388608 bytes|too"), (80_000, "80000 layers are too many")] {
        let layer = format!("{{\"digest\":\"{}\",\"size\":1}}", digest(b"x"));
        let layers = vec![layer; layers].join(",");
        let config = digest(b"c");
        let manifest =
            format!("{{\"schemaVersion\":2,\"config\":{{\"digest\":\"{config}\",\"size\":1}},\"layers\":[{layers}]}}");
        let layout = layout(scratch.path(), manifest.as_bytes());
        let ran = bomb.run(FETCH, &[&scratch.path().join("store"), &layout]);
        let ran = ran.fails_with(1, "oci-fetch: ").one_line();
        assert!(says.split('|').any(|says| ran.stderr.contains(says)), "{}", ran.report());
        assert!(ran.stdout.is_empty());

        let registry = Registry::start();
        registry.serve(
            "/v2/demo/manifests/latest",
            "application/vnd.oci.image.manifest.v1+json",
            manifest.into_bytes(),
        );
        Puller::new().pull(registry.name("demo")).run().fails(&["long|large|many|bytes"]).says_nothing();
    }
    // The layer manifest has the same bound.
    let image = json!({ "type": "image", "version": 1, "reference": "x", "platform": null, "manifest": null,
                        "config": null, "layers": 100_000 });
    let path = scratch.path().join("manifest");
    fs::write(&path, format!("{image}\n")).unwrap();
    bomb.run(r#"oci-flatten "$0""#, &[&path]).fails_with(1, "100000 layers are too many").one_line();
}

/// Two readers of a document with a key twice could see two images (as with CVE-2021-41190): it is refused where it
/// counts.
#[test]
fn keys_that_occur_twice() {
    let scratch = scratch();
    let (one, two) = (digest(b"one"), digest(b"two"));
    let layer = |digest: &str| format!("[{{\"digest\":\"{digest}\",\"size\":3}}]");
    let config = format!("\"config\":{{\"digest\":\"{one}\",\"size\":3}}");
    let texts = [
        format!("{{\"schemaVersion\":2,{config},\"layers\":{},\"layers\":{}}}", layer(&one), layer(&two)),
        format!("{{\"schemaVersion\":2,{config},{config},\"layers\":{}}}", layer(&one)),
        format!("{{\"config\":{{\"digest\":\"{one}\",\"digest\":\"{two}\",\"size\":3}},\"layers\":{}}}", layer(&one)),
    ];
    let bomb = Bomb::in_directory(scratch.path());
    for text in texts {
        let layout = layout(scratch.path(), text.as_bytes());
        let ran = bomb.run(FETCH, &[&scratch.path().join("store"), &layout]);
        let ran = ran.fails_with(1, "duplicate field").one_line();
        assert!(ran.stdout.is_empty());
    }
    let records = [
        r#"{"type":"image","type":"end","version":1,"reference":"x","layers":0}"#,
        r#"{"type":"image","version":1,"reference":"x","layers":0,"layers":1}"#,
        r#"{"type":"image","version":1,"version":2,"reference":"x","layers":0}"#,
    ];
    for record in records {
        let text = format!("{record}\n{{\"type\":\"end\"}}\n");
        Filter::oci_flatten().stdin(text).run().fails_with(1, "duplicate field").one_line();
    }
}

#[test]
fn json_nested_without_end() {
    let scratch = scratch();
    let bomb = Bomb::in_directory(scratch.path());
    let depth = 2_000_000;
    let nested = ["[".repeat(depth), "]".repeat(depth)].concat();
    let objects = ["{\"a\":".repeat(depth / 2), "1".into(), "}".repeat(depth / 2)].concat();
    for bad in [&nested, &objects] {
        // As the document, and as a field that nobody reads.
        let config = format!("\"config\":{{\"digest\":\"{}\",\"size\":1}}", digest(b"c"));
        for manifest in [bad.clone(), format!("{{\"schemaVersion\":2,{config},\"layers\":[],\"extra\":{bad}}}")] {
            let layout = layout(scratch.path(), manifest.as_bytes());
            bomb.run(FETCH, &[&scratch.path().join("store"), &layout]).fails_with(1, "oci-fetch: ").one_line();
        }
        fs::write(scratch.path().join("layout/index.json"), bad).unwrap();
        bomb.run(FETCH, &[&scratch.path().join("store"), &scratch.path().join("layout")])
            .fails_with(1, "oci-fetch: ")
            .one_line();
        // An error and a token are documents of strangers too.
        let (image, registry) = (Image::small("x"), Registry::start());
        registry.push("demo", "latest", &image);
        let body = bad.clone().into_bytes();
        registry.when(any("/v2/"), move |_| Reply::new(403, body.clone()));
        Puller::new().pull(registry.name("demo")).run().fails(&["403|forbidden"]).says_nothing();
    }
}

/// The config is passed on as it is (R6), however deep: it comes out whole, or is refused.
#[test]
fn a_config_nested_without_end() {
    let scratch = scratch();
    let depth = 1_000_000;
    let image = Image::of([Layer::file("a", "b")]);
    let mut config = String::from_utf8(image.config()).unwrap();
    config.pop();
    let nested = ["[".repeat(depth), "]".repeat(depth)].concat();
    let image = image.config_bytes(format!("{config},\"extra\":{nested}}}"));
    let layout = scratch.path().join("deep");
    oci_layout(&layout, &[("latest", &image)]);
    let bomb = Bomb::in_directory(scratch.path());
    let manifest = scratch.path().join("manifest");
    let ran = bomb.run(&format!("{FETCH} >\"$2\""), &[&scratch.path().join("store"), &layout, &manifest]);
    if ran.status.success() {
        bomb.run(r#"oci-flatten "$0""#, &[&manifest]).succeeds();
    } else {
        ran.fails_with(1, "config").one_line();
    }
}

fn item(name: &str, what: What) -> Item {
    Item { name: name.into(), what, mode: 0o644, owner: (0, 0), mtime: (0, 0), xattrs: Vec::new() }
}

/// Holes of an archive's members are no bytes in the store, and there is a bound to them.
#[test]
fn holes_in_an_image_archive() {
    let scratch = scratch();
    let bomb = Bomb { seconds: 60.0, ..Bomb::in_directory(scratch.path()) };
    let (archive, store) = (scratch.path().join("archive.tar"), scratch.path().join("store"));
    let fetch = |kind: &str| format!(r#"oci-fetch -d "$0" "{kind}:$1""#);
    for (kind, name) in [("docker-archive", "layer.tar"), ("oci-archive", "blobs/sha256/$")] {
        let name = name.replace('$', &sha256(b"x"));
        let data = vec![(0, b"x".to_vec())];
        fs::write(&archive, tar(&[item(&name, What::Sparse(10 << 40, data))])).unwrap();
        let ran = bomb.run(&fetch(kind), &[&store, &archive]);
        ran.fails_with(1, "bytes of holes are too many").says(&name).one_line();
    }
    // An honest one, as `tar -S` makes it of an unpacked archive: a layer that is zeros for the most part.
    let layer = tar(&[item("zeros", What::File(vec![0; 64 << 20])), item("file", What::File(b"content".to_vec()))]);
    let image = Image::of([Layer::plain(&layer)]);
    fs::write(&archive, oci_archive(&[("latest", &image)])).unwrap();
    let unpacked = scratch.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let repack = r#"tar -C "$0" -xf "$1" && tar -C "$0" -Scf "$1" ."#;
    crate::support::shell(repack).arg(&unpacked).arg(&archive).run().succeeds();
    // GNU tar finds holes where the file system has them.
    let holes = r#"cd "$0" && find blobs -type f -exec fallocate --dig-holes {} \; && tar -Scf "$1" ."#;
    crate::support::shell(holes).arg(&unpacked).arg(&archive).run().succeeds();
    assert!(fs::metadata(&archive).unwrap().len() < 1 << 20, "tar -S did not find the zeros");
    bomb.run(&fetch("oci-archive"), &[&store, &archive]).succeeds();
    let blob = store.join("blobs").join(image.layers[0].digest.replace(':', "/"));
    assert!(fs::read(&blob).unwrap() == *image.layers[0].bytes, "the layer is another");
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&blob).unwrap());
    assert!(blocks * 512 < 1 << 20, "the holes take {} bytes of disk", blocks * 512);
}
