//! Manifests, indexes and configs of every make, and of no sense (R1, R4, R6, R7).

use serde_json::{Value, json};

use crate::support::registry::{
    Artifact, Image, Index, Layer, Puller, Registry, Reply, any, digest, get, head, sha512,
};

/// Pulls `artifact` as `demo` by tag.
fn serve(artifact: &impl Artifact) -> (Registry, Puller) {
    let registry = Registry::start();
    registry.push("demo", "latest", artifact);
    (registry, Puller::new())
}

/// Serves these bytes as the manifest of `demo`, with a fitting digest.
fn serve_bytes(media_type: &str, bytes: impl Into<Vec<u8>>) -> (Registry, Puller) {
    let registry = Registry::start();
    let bytes = bytes.into();
    registry.serve(&format!("/v2/demo/manifests/{}", digest(&bytes)), media_type, bytes.clone());
    registry.serve("/v2/demo/manifests/latest", media_type, bytes);
    (registry, Puller::new())
}

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[test]
fn every_make_of_manifest_is_understood() {
    let image = || Image::of([Layer::file("a", "b"), Layer::noise(1, 5000)]);
    for (what, image) in [
        ("OCI", image()),
        ("OCI without mediaType", image().without_media_type()),
        ("Docker schema 2", image().docker()),
        ("sha512 config", image().sha512()),
        ("sha512 layer", Image::of([Layer::file("a", "b").sha512()])),
        ("zstd and plain layers", Image::of([Layer::zstd(b"tar"), Layer::plain(b"another tar")])),
    ] {
        let (registry, puller) = serve(&image);
        println!("{what}");
        let pulled = puller.pull(registry.name("demo")).run().quietly().gets(&image);
        for (record, layer) in pulled.records()[1..].iter().zip(&image.layers) {
            assert_eq!(record["digest"], layer.digest);
            assert_eq!(record["mediaType"], layer.media_type);
        }
    }
}

#[test]
fn every_make_of_index_is_understood() {
    let image = Image::small("mine");
    let other = Image::small("other").platform("linux/s390x");
    for (what, index) in [
        ("OCI", Index::of([&other, &image])),
        ("OCI without mediaType", Index::of([&other, &image]).without_media_type()),
        ("Docker", Index::of([&other.clone().docker(), &image]).docker()),
        ("nested", Index::of([&other]).nested(&Index::of([&image]))),
        ("nested twice", Index::default().nested(&Index::of([&other]).nested(&Index::of([&image])))),
        (
            "with attestations",
            Index::of([&other]).attestation(&other).entry(image.listed(), &image).attestation(&image),
        ),
    ] {
        let (registry, puller) = serve(&index);
        println!("{what}");
        let pulled = puller.pull(registry.name("demo")).run().quietly().gets_exactly(&image);
        assert_eq!(pulled.records()[0]["platform"]["os"], "linux");
    }
}

#[test]
fn the_content_type_need_not_tell_the_truth() {
    let image = Image::small("x");
    let index = Index::of([&image]);
    for content_type in ["text/plain; charset=utf-8", "application/json", "application/octet-stream"] {
        let (registry, puller) = serve(&index);
        registry.when(any("/manifests/"), move |reply| reply.header("Content-Type", content_type));
        puller.pull(registry.name("demo")).run().gets(&image);
    }
}

#[test]
fn it_says_what_it_accepts() {
    let (registry, puller) = serve(&Image::small("x"));
    drop(puller.pull(registry.name("demo")).run());
    let asked = registry.asked(get("/manifests/"));
    let accept: Vec<&str> = asked[0]
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("accept"))
        .map(|(_, value)| &**value)
        .collect();
    let accept = accept.join(",");
    for kind in [
        "oci.image.manifest.v1+json",
        "oci.image.index.v1+json",
        "distribution.manifest.v2+json",
        "manifest.list.v2+json",
    ] {
        assert!(accept.contains(kind), "{accept}");
    }
    // Schema 1 stands last, so that it can be refused by name.
    assert!(accept.find("manifest.v1+prettyjws") > accept.find("distribution.manifest.v2+json"), "{accept}");
}

#[test]
fn schema_1_is_refused_by_name() {
    let manifest = json!({ "schemaVersion": 1, "name": "demo", "tag": "latest", "architecture": "amd64",
        "fsLayers": [{ "blobSum": digest(b"x") }], "history": [{ "v1Compatibility": "{}" }], "signatures": [] });
    for media_type in ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"] {
        let (registry, puller) = serve_bytes(media_type, manifest.to_string());
        puller
            .pull(registry.name("demo"))
            .run()
            .fails(&["schema 1|schemaVersion 1|schema version 1|schema1"])
            .says_nothing();
    }
}

#[test]
fn a_huge_manifest_is_refused_unread() {
    let image = Image::small("x").edited(|manifest| manifest["annotations"] = json!({ "x": "y".repeat(9 << 20) }));
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().fails(&["8388608"]).says_nothing();
    registry.when(get("/manifests/"), Reply::chunked);
    puller.pull(registry.name("demo")).run().fails(&["8388608"]).says_nothing();
}

#[test]
fn a_large_manifest_is_no_huge_one() {
    let image = Image::small("x").edited(|manifest| manifest["annotations"] = json!({ "x": "y".repeat(7 << 20) }));
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_huge_config_is_refused_unread() {
    let image = Image::small("x").config_bytes(format!("{{\"x\":\"{}\"}}", "y".repeat(9 << 20)));
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().fails(&["8388608"]).says_nothing();
    assert!(registry.asked(get("/blobs/")).is_empty(), "its size was known");
}

#[test]
fn what_is_no_json_is_refused() {
    for text in
        ["", "<html>sign in</html>", "{", "[]", "null", "17", "\"manifest\"", "{}", "{\"schemaVersion\":2}", "\u{0}"]
    {
        let (registry, puller) = serve_bytes(OCI_MANIFEST, text);
        puller.pull(registry.name("demo")).run().fails(&["manifest|json|document|index"]).says_nothing();
    }
}

#[test]
fn json_of_great_depth_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        for text in [deep.clone(), format!(r#"{{"schemaVersion":2,"annotations":{deep}}}"#)] {
            let (registry, puller) = serve_bytes(OCI_MANIFEST, text);
            puller.pull(registry.name("demo")).run().fails(&["manifest|json|document|recursion"]).says_nothing();
        }
    }
}

#[test]
fn keys_that_occur_twice_are_refused_or_mean_one_thing() {
    let image = Image::small("x");
    let text = String::from_utf8(image.root().bytes.to_vec()).unwrap();
    let other = Image::small("y");
    let layers =
        serde_json::to_string(&serde_json::from_slice::<Value>(&other.root().bytes).unwrap()["layers"]).unwrap();
    let twice = text.replacen('{', &format!("{{\"layers\":{layers},"), 1);
    let (registry, puller) = serve_bytes(OCI_MANIFEST, twice);
    registry.push("demo", "x", &image);
    registry.push("demo", "y", &other);
    puller.pull(registry.name("demo")).run().fails(&["layers|duplicate"]).says_nothing();
}

#[test]
fn a_manifest_by_digest_must_have_that_digest() {
    let image = Image::small("x");
    let other = Image::small("y");
    let (registry, puller) = serve(&image);
    registry.push("demo", "other", &other);
    let wanted = image.root().digest;
    let wrong = other.root().bytes;
    registry.when(get(format!("/manifests/{wanted}")), move |reply| reply.body(wrong.clone()));
    let name = registry.name(format!("demo@{wanted}"));
    puller.pull(name).run().fails(&["digest|sha256"]).says_nothing();
}

#[test]
fn a_false_digest_header_is_not_believed() {
    let image = Image::small("x");
    let false_digest = digest(b"something else");
    for lie in [&*false_digest, "nonsense", "sha256:../../../etc/passwd", "md5:0"] {
        let (registry, puller) = serve(&image);
        let lie = lie.to_owned();
        registry.when(any("/manifests/"), move |reply| reply.header("Docker-Content-Digest", &lie));
        let pulled = puller.pull(registry.name("demo")).run();
        if pulled.ran.status.success() {
            pulled.gets_exactly(&image);
        } else {
            pulled.fails(&["digest"]).says_nothing();
        }
        registry.heal();
        puller.pull(registry.name("demo")).run().gets_exactly(&image);
    }
}

#[test]
fn a_manifest_in_an_index_must_be_the_one_it_lists() {
    let image = Image::small("x");
    let index = Index::of([&image]);
    let (registry, puller) = serve(&index);
    let wrong = Image::small("y").root().bytes;
    registry.when(get(image.root().digest), move |reply| reply.body(wrong.clone()));
    puller.pull(registry.name("demo")).run().fails(&["digest|sha256|size|byte"]).says_nothing();
}

#[test]
fn a_listed_size_must_be_true() {
    let image = Image::small("x");
    for size in [json!(1), json!(1 << 30), json!(-1), json!("5"), json!(1e300), Value::Null] {
        let mut listed = image.listed();
        listed["size"] = size.clone();
        let (registry, puller) = serve(&Index::default().entry(listed, &image));
        println!("{size}");
        puller.pull(registry.name("demo")).run().fails(&["size|byte|manifest|index|large"]).says_nothing();
    }
}

#[test]
fn sizes_of_layers_and_configs_must_be_true() {
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 5] = [
        (|manifest| manifest["layers"][0]["size"] = json!(10), "a layer too small"),
        (|manifest| manifest["layers"][0]["size"] = json!(100_000_000), "a layer too large"),
        (|manifest| manifest["layers"][0]["size"] = json!(-1), "a negative layer"),
        (|manifest| manifest["config"]["size"] = json!(3), "a config too small"),
        (|manifest| manifest["config"]["size"] = json!(7_000_000), "a config too large"),
    ];
    for (edit, what) in edits {
        let (registry, puller) = serve(&Image::of([Layer::noise(1, 2000)]).edited(edit));
        println!("{what}");
        puller.pull(registry.name("demo")).run().fails(&["size|byte|manifest|short|long|ended"]);
    }
}

#[test]
fn an_enormous_size_does_not_fill_the_disk_beforehand() {
    let image = Image::of([Layer::noise(1, 2000)]).edited(|manifest| manifest["layers"][0]["size"] = json!(u64::MAX));
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().fails(&["size|byte|manifest|sha256|large|ended|space"]);
}

#[test]
fn a_config_must_have_its_digest() {
    let image = Image::small("x");
    let (registry, puller) = serve(&image);
    registry.when(get(digest(&image.config())), |reply| reply.flipped(3));
    puller.pull(registry.name("demo")).run().fails(&["digest|sha256"]).says_nothing();
}

#[test]
fn digests_that_could_leave_the_store_are_refused_before_they_are_asked_for() {
    const BAD: [&str; 7] = [
        "sha256:../../../../../../tmp/owned",
        "../../../etc/passwd",
        "sha256:",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855?x=y",
    ];
    for bad in BAD {
        let document: Value = serde_json::from_slice(&Image::small("x").root().bytes).unwrap();
        for place in ["layers", "config"] {
            let mut document = document.clone();
            match place {
                "layers" => document["layers"][0]["digest"] = json!(bad),
                _ => document["config"]["digest"] = json!(bad),
            }
            let (registry, puller) = serve_bytes(OCI_MANIFEST, document.to_string());
            puller.pull(registry.name("demo")).run().fails(&["digest"]).says_nothing();
            assert!(registry.asked(any("/blobs/")).is_empty());
        }
        let index =
            json!({ "schemaVersion": 2, "manifests": [{ "mediaType": OCI_MANIFEST, "digest": bad, "size": 5 }] });
        let (registry, puller) = serve_bytes(OCI_INDEX, index.to_string());
        puller.pull(registry.name("demo")).run().fails(&["digest"]).says_nothing();
        assert!(registry.requests().iter().all(|request| !request.target.contains("..")));
    }
}

#[test]
fn layers_and_diff_ids_must_be_as_many() {
    let layer = Layer::file("a", "b");
    let config = Image::of([layer.clone()]).config();
    let (registry, puller) = serve(&Image::of([layer.clone(), layer]).config_bytes(config));
    puller.pull(registry.name("demo")).run().fails(&["diff_id|diffId|layers"]).says_nothing();
}

#[test]
fn a_config_that_makes_no_sense_is_refused() {
    for config in ["", "[]", "null", "{", "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"../x\"]}}"] {
        let (registry, puller) = serve(&Image::small("x").config_bytes(config));
        puller.pull(registry.name("demo")).run().fails(&["config|digest|diff"]).says_nothing();
    }
}

#[test]
fn the_config_goes_out_as_it_is() {
    let diff_id = Layer::file("file", "content").diff_id;
    let config = format!(
        "{{\n  \"zebra\": 1.0, \"exponent\": 1e3,\n  \"big\": 12345678901234567890123, \"text\": \"\\u00e4 \\/ \\n\",\n  \
         \"os\": \"linux\", \"architecture\": \"{}\",\n  \"apple\": [ ],\n  \
         \"rootfs\": {{ \"type\": \"layers\", \"diff_ids\": [ \"{diff_id}\" ] }}\n}}\n",
        crate::support::registry::host_architecture()
    );
    let image = Image::of([Layer::file("file", "content")]).config_bytes(config.clone());
    let (registry, puller) = serve(&image);
    let file = puller.path("config.json");
    let pulled = puller.pull(registry.name("demo")).arg("--config").arg(&file).run();
    assert_eq!(std::fs::read_to_string(file).unwrap(), config, "--config has its bytes");
    let text = pulled.ran.text();
    for part in ["1.0", "1e3", "12345678901234567890123", r"\u00e4 \/ \n"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let at = |word: &str| text.find(word).unwrap();
    assert!(at("zebra") < at("exponent") && at("big") < at("apple") && at("apple") < at("diff_ids"));
    assert_eq!(pulled.manifest().lines().count(), 3, "a record is a line");
}

#[test]
fn no_config_file_is_left_by_a_pull_that_failed_early() {
    let image = Image::small("x");
    let (registry, puller) = serve(&image);
    let file = puller.file("config.json", "old");
    registry.when(get(digest(&image.config())), |reply| reply.flipped(3));
    puller.pull(registry.name("demo")).arg("--config").arg(&file).run().fails(&["sha256|digest"]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "old");
}

#[test]
fn annotations_of_layers_are_passed_on() {
    let annotations = json!({ "containerd.io/snapshot/stargz/toc.digest": digest(b"toc"), "x": "ä\n" });
    let image = Image::of([Layer::file("a", "b").annotated(annotations.clone()), Layer::file("c", "d")]);
    let (registry, puller) = serve(&image);
    let pulled = puller.pull(registry.name("demo")).run().gets(&image);
    assert_eq!(pulled.records()[1]["annotations"], annotations);
    assert!(pulled.records()[2]["annotations"].as_object().is_none_or(serde_json::Map::is_empty));
}

#[test]
fn a_digest_beats_a_tag() {
    let (old, new) = (Image::small("old"), Image::small("new"));
    let (registry, puller) = serve(&new);
    registry.push("demo", "old", &old);
    let name = registry.name(format!("demo:latest@{}", old.root().digest));
    puller.pull(name).run().gets_exactly(&old);
    assert!(registry.asked(any("/manifests/latest")).is_empty());
}

#[test]
fn an_index_is_named_by_its_digest_too() {
    let image = Image::small("x");
    let index = Index::of([&Image::small("y").platform("linux/s390x"), &image]);
    let (registry, puller) = serve(&index);
    let name = registry.name(format!("demo@{}", index.root().digest));
    puller.pull(&name).run().gets_exactly(&image);
    puller.pull(name).arg("--offline").run().gets_exactly(&image);
}

#[test]
fn an_image_is_named_by_sha512() {
    let image = Image::of([Layer::file("a", "b").sha512()]).sha512();
    let (registry, puller) = serve(&image);
    let manifest = sha512(&image.root().bytes);
    let pulled = puller.pull(registry.name(format!("demo@{manifest}"))).run().gets(&image);
    assert_eq!(pulled.records()[0]["manifest"], manifest);
    let path = pulled.records()[1]["path"].as_str().unwrap().to_owned();
    assert!(path.contains("/blobs/sha512/"), "{path}");
}

#[test]
fn a_foreign_layer_is_asked_of_the_registry_first() {
    let elsewhere = Registry::start_elsewhere();
    let layer = Layer::noise(1, 5000);
    elsewhere.serve("/layer", "application/octet-stream", &*layer.bytes);
    let mut image = Image::of([layer.foreign(&[elsewhere.url("/layer")])]);
    image.layers[0].pushed = true;
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().gets_exactly(&image);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_foreign_layer_is_fetched_from_its_urls_in_turn() {
    let elsewhere = Registry::start_elsewhere();
    let layer = Layer::noise(1, 5000);
    elsewhere.serve("/layer", "application/octet-stream", &*layer.bytes);
    elsewhere.serve("/wrong", "application/octet-stream", &b"wrong bytes"[..]);
    let urls = ["/gone", "/wrong", "/layer"].map(|path| elsewhere.url(path));
    let image = Image::of([layer.foreign(&urls)]);
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().gets_exactly(&image);
    assert!(registry.asked(get(&*image.layers[0].digest)).len() == 1);
}

#[test]
fn a_foreign_layer_takes_no_credentials_along_and_must_be_right() {
    let elsewhere = Registry::start_elsewhere();
    elsewhere.serve("/layer", "application/octet-stream", &b"wrong bytes"[..]);
    let image = Image::of([Layer::noise(1, 5000).foreign(&[elsewhere.url("/layer")])]);
    let (registry, puller) = serve(&image);
    registry.ask_basic("user", "SECRET");
    let pull = puller.pull(registry.name("demo")).args(["--username", "user", "--password-stdin"]).stdin("SECRET");
    pull.run().fails(&["sha256:"]);
    assert!(!elsewhere.requests().is_empty());
    assert!(elsewhere.requests().iter().all(|request| request.header("Authorization").is_none()));
}

#[test]
fn a_foreign_layer_from_a_file_is_refused() {
    let image = Image::of([Layer::noise(1, 5000).foreign(&["file:///etc/passwd".to_owned()])]);
    let (registry, puller) = serve(&image);
    puller.pull(registry.name("demo")).run().fails(&["sha256:"]);
}

#[test]
fn an_artifact_that_is_no_image_is_refused() {
    let chart =
        Image::of([Layer::file("chart", "x").media_type("application/vnd.cncf.helm.chart.content.v1.tar+gzip")])
            .config_bytes("{\"name\":\"chart\"}")
            .edited(|manifest| manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json"));
    let (registry, puller) = serve(&chart);
    puller.pull(registry.name("demo")).run().fails(&["config|image|helm|diff"]).says_nothing();
}

#[test]
fn encrypted_layers_are_refused_by_name() {
    let layer = Layer::file("a", "b").media_type("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    let (registry, puller) = serve(&Image::of([layer]));
    puller.pull(registry.name("demo")).run().fails(&["encrypted"]);
}

#[test]
fn names_that_are_no_names_are_refused_without_a_request() {
    let (registry, puller) = serve(&Image::small("x"));
    for bad in [
        "",
        "Demo",
        "de mo",
        "../demo",
        "demo/../x",
        "demo:",
        "demo:la test",
        "demo@sha256:1",
        "demo@latest",
        "demo:a:b",
        "/demo",
        "demo//x",
        "demo:-x",
    ] {
        let ran = puller.pull(registry.name(bad)).run().ran;
        assert!(matches!(ran.status.code(), Some(1 | 2)) && ran.stdout.is_empty(), "{}", ran.report());
        assert!(!ran.stderr.contains("panicked"), "{}", ran.report());
    }
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
}

#[test]
fn a_moved_tag_between_head_and_get_is_no_error() {
    let (old, new) = (Image::small("old"), Image::small("new"));
    let (registry, puller) = serve(&old);
    puller.pull(registry.name("demo")).run().gets_exactly(&old);
    let root = new.root().digest;
    registry.when(head("/manifests/"), move |reply| reply.header("Docker-Content-Digest", &root));
    registry.push("demo", "latest", &new);
    let newest = Image::small("newest");
    let bytes = newest.root();
    registry.push("demo", "newest", &newest);
    registry.when(get("/manifests/latest"), move |reply| {
        reply.body(bytes.bytes.clone()).header("Docker-Content-Digest", &bytes.digest)
    });
    puller.pull(registry.name("demo")).run().gets_exactly(&newest);
}
