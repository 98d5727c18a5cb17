//! Images in archives, ours and other tools' (R7).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::peers::{layout, skopeo};
use crate::support::registry::{
    Authority, DockerRegistry, Image, Layer, Puller, assert_whole, base64, docker_archive, docker_archive_25,
    docker_archive_old, oci_archive, oci_layout,
};
use crate::support::{Filter, shell, tool};

fn image() -> Image {
    Image::of([Layer::noise(1, 30_000), Layer::file("a", "b")])
}

fn other() -> Image {
    Image::small("other")
}

#[test]
fn an_oci_archive_is_read_whatever_the_order_of_its_members() {
    let puller = Puller::new();
    let archive = puller.file("image.tar", oci_archive(&[("latest", &image())]));
    puller.pull(format!("oci-archive:{}", archive.display())).run().quietly().gets_exactly(&image());
    let several = puller.file("several.tar", oci_archive(&[("one", &image()), ("two", &other())]));
    puller.pull(format!("oci-archive:{}:two", several.display())).run().gets_exactly(&other());
    puller.pull(format!("oci-archive:{}", several.display())).run().fails(&["one", "two"]).says_nothing();
}

#[test]
fn an_oci_archive_that_lies_is_refused() {
    let puller = Puller::new();
    let mut bytes = oci_archive(&[("latest", &image())]);
    let layer = &image().layers[0].bytes;
    let at = bytes.windows(64).position(|window| window == &layer[1000..1064]).unwrap();
    bytes[at] ^= 1;
    let archive = puller.file("image.tar", bytes);
    puller.pull(format!("oci-archive:{}", archive.display())).run().fails(&["sha256"]);
}

#[test]
fn an_archive_that_was_cut_is_refused_wherever() {
    let puller = Puller::new();
    for bytes in [oci_archive(&[("latest", &image())]), docker_archive(&[(&["demo:latest"], &image())])] {
        for cut in [0, 100, 512, 5000, 20_000, 31_000, bytes.len() - 3000, bytes.len() - 1500] {
            let archive = puller.file("image.tar", &bytes[..cut]);
            puller.pull(archive).run().fails(&["image.tar"]);
        }
    }
}

#[test]
fn docker_save_of_today_is_read() {
    let puller = Puller::new();
    let archive = puller.file("image.tar", docker_archive(&[(&["demo:latest"], &image())]));
    let pulled = puller.pull(format!("docker-archive:{}", archive.display())).run().quietly().ran;
    assert_archive(&pulled.stdout, &image());
}

/// The records name the image's uncompressed layers and its config.
#[track_caller]
fn assert_archive(stdout: &[u8], image: &Image) {
    let records: Vec<Value> = stdout
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<Value>(line).unwrap())
        .filter(|record| record["type"] != "arriving")
        .collect();
    assert_eq!(records.len(), image.layers.len() + 2);
    assert_eq!(records[0]["config"], serde_json::from_slice::<Value>(&image.config()).unwrap());
    for (record, layer) in records[1..].iter().zip(&image.layers) {
        assert_eq!(record["diffId"], layer.diff_id);
        let bytes = fs::read(record["path"].as_str().unwrap()).unwrap();
        assert_eq!(record["size"], bytes.len());
        let plain = if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&*bytes), &mut plain).unwrap();
            plain
        } else {
            bytes
        };
        assert_eq!(crate::support::registry::digest(&plain), layer.diff_id);
    }
    assert_eq!(records.last().unwrap()["type"], "end");
}

#[test]
fn docker_save_of_old_is_read_with_its_symlinks() {
    let puller = Puller::new();
    let layer = Layer::noise(1, 30_000);
    let image = Image::of([layer.clone(), Layer::file("a", "b"), layer]);
    let archive = puller.file("image.tar", docker_archive_old(&["demo:latest"], &image));
    let pulled = puller.pull(format!("docker-archive:{}", archive.display())).run().quietly().ran;
    assert_archive(&pulled.stdout, &image);
}

#[test]
fn docker_save_since_version_25_is_read_by_either_of_its_lists() {
    let puller = Puller::new();
    let one = puller.file("one.tar", docker_archive_25(&[("demo:latest", &image())]));
    let two = puller.file("two.tar", docker_archive_25(&[("demo:latest", &image()), ("other:latest", &other())]));
    for (archive, name, expected) in [
        (&one, "", image()),
        (&one, ":demo", image()),
        (&two, ":demo:latest", image()),
        (&two, ":other", other()),
        (&two, ":docker.io/library/other:latest", other()),
    ] {
        for prefix in ["", "docker-archive:", "oci-archive:"] {
            let pulled = puller.pull(format!("{prefix}{}{name}", archive.display())).run();
            assert_archive(&pulled.ran.succeeds().quiet().stdout, &expected);
        }
    }
    puller.pull(&two).run().fails(&["demo:latest", "other:latest"]).says_nothing();
}

#[test]
fn several_images_in_one_archive_are_told_apart_by_familiar_names() {
    let puller = Puller::new();
    let bytes =
        docker_archive(&[(&["demo:latest", "demo:1"], &image()), (&["registry.test:5000/team/other:2"], &other())]);
    let archive = puller.file("image.tar", bytes);
    let pull = |name: &str| puller.pull(format!("docker-archive:{}{name}", archive.display())).run();
    for name in [":demo", ":demo:latest", ":demo:1", ":docker.io/library/demo:latest", ":library/demo"] {
        assert_archive(&pull(name).ran.succeeds().stdout, &image());
    }
    assert_archive(&pull(":registry.test:5000/team/other:2").ran.succeeds().stdout, &other());
    pull("").fails(&["demo:latest", "registry.test:5000/team/other:2"]).says_nothing();
    pull(":nosuch").fails(&["nosuch", "demo:latest"]).says_nothing();
}

#[test]
fn a_layer_of_an_archive_must_be_what_its_config_says() {
    let puller = Puller::new();
    let config = other().config();
    let archive = puller.file("image.tar", docker_archive(&[(&["demo"], &Image::small("x").config_bytes(config))]));
    puller.pull(format!("docker-archive:{}", archive.display())).run().fails(&["sha256|diff"]);
}

#[test]
fn a_path_is_recognised_by_what_is_there() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    oci_layout(&layout, &[("latest", &image())]);
    puller.pull(&layout).run().gets_exactly(&image());
    let archive = puller.file("oci.tar", oci_archive(&[("latest", &image())]));
    puller.pull(&archive).run().gets_exactly(&image());
    let archive = puller.file("docker.tar", docker_archive(&[(&["demo:latest"], &image())]));
    assert_archive(&puller.pull(archive).run().ran.succeeds().stdout, &image());
    puller.pull(puller.path("nosuch")).run().fails(&["nosuch", "no such file"]).says_nothing();
    fs::create_dir(puller.path("empty")).unwrap();
    puller.pull(puller.path("empty")).run().fails(&["empty", "layout|image"]).says_nothing();
    puller.pull(puller.file("text", "just text\n")).run().fails(&["text", "archive|tar|image"]).says_nothing();
    let plain = puller.file("plain.tar", "");
    tool("tar", ["-C", "/etc", "-cf", plain.to_str().unwrap(), "hostname"]);
    puller.pull(plain).run().fails(&["plain.tar", "manifest.json|index.json|archive|image"]).says_nothing();
}

#[test]
fn archives_are_read_from_a_pipe_and_compressed() {
    let puller = Puller::new();
    let docker = docker_archive(&[(&["demo:latest"], &image())]);
    let oci = oci_archive(&[("latest", &image())]);
    assert_archive(
        &puller.pull("docker-archive:/dev/stdin").stdin(docker.clone()).run().ran.succeeds().stdout,
        &image(),
    );
    assert_archive(&puller.pull("-").stdin(docker.clone()).run().ran.succeeds().stdout, &image());
    puller.pull("-").stdin(oci).run().gets_exactly(&image());
    for compressor in ["gzip", "zstd", "xz", "bzip2"] {
        let file = puller.file("image.tar", &docker);
        let out = puller.path("image.tar.x");
        shell(&format!("{compressor} -c \"$0\" >\"$1\"")).arg(file).arg(&out).run().succeeds();
        assert_archive(&puller.pull(out).run().ran.succeeds().stdout, &image());
    }
}

#[test]
fn layers_in_an_archive_may_be_compressed_whatever_their_name() {
    let puller = Puller::new();
    let layer = Layer::file("a", "b");
    let inner = Image::of([layer.clone()]);
    let config = inner.config();
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["demo:latest"], "Layers": ["layer.tar"] }]);
    let archive = puller.path("image.tar");
    let parts = puller.path("parts");
    for (name, bytes) in
        [("config.json", &*config), ("layer.tar", &layer.bytes), ("manifest.json", manifest.to_string().as_bytes())]
    {
        puller.file(&format!("parts/{name}"), bytes);
    }
    tool(
        "tar",
        ["-C", parts.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "layer.tar", "manifest.json", "config.json"],
    );
    assert_archive(&puller.pull(archive).run().ran.succeeds().stdout, &inner);
}

#[test]
fn members_of_an_archive_cannot_leave_the_store() {
    let puller = Puller::new();
    let config = image().config();
    for evil in ["../../../../../../../../tmp/oci-fetch-owned", "/tmp/oci-fetch-owned"] {
        let manifest = json!([{ "Config": "config.json", "RepoTags": null, "Layers": [evil, evil] }]);
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in [("config.json", &*config), ("manifest.json", manifest.to_string().as_bytes())] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes()[..evil.len()].copy_from_slice(evil.as_bytes());
        header.set_size(5);
        header.set_cksum();
        builder.append(&header, &b"owned"[..]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "layer.tar", evil).unwrap();
        let archive = puller.file("image.tar", builder.into_inner().unwrap());
        puller.pull(archive).run().fails(&["image.tar|owned|layer|sha256"]);
        assert!(!Path::new("/tmp/oci-fetch-owned").exists());
    }
}

#[test]
fn symlinks_in_a_circle_end() {
    let puller = Puller::new();
    let config = other().config();
    let manifest = json!([{ "Config": "config.json", "RepoTags": null, "Layers": ["a/layer.tar"] }]);
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in [("config.json", &*config), ("manifest.json", manifest.to_string().as_bytes())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    for (from, to) in [("a/layer.tar", "../b/layer.tar"), ("b/layer.tar", "../a/layer.tar")] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, from, to).unwrap();
    }
    let archive = puller.file("image.tar", builder.into_inner().unwrap());
    puller.pull(archive).run().fails(&["layer.tar"]);
}

/// Buildah with its storage in the test's own directory.
fn buildah(puller: &Puller, args: &[&str]) -> String {
    let (root, run) = (puller.path("buildah"), puller.path("buildah-run"));
    let storage = ["--root", root.to_str().unwrap(), "--runroot", run.to_str().unwrap(), "--storage-driver", "vfs"];
    let ran = Filter::tool("buildah").args(storage).args(args).env("BUILDAH_ISOLATION", "chroot").run().succeeds();
    ran.text().trim().to_owned()
}

#[test]
fn what_buildah_builds_is_fetched_from_registry_layout_and_archives() {
    let puller = Puller::new();
    puller.file("context/Dockerfile", "FROM scratch\nCOPY a /a\nCOPY b /dir/b\nENV X=y\n");
    puller.file("context/a", "a");
    puller.file("context/b", "b".repeat(100_000));
    let context = puller.path("context");
    buildah(&puller, &["bud", "--layers", "-q", "-t", "demo", context.to_str().unwrap()]);
    let registry = DockerRegistry::start();
    let path = |name: &str| puller.path(name).to_str().unwrap().to_owned();
    let docker = format!("docker://{}", registry.name("demo:latest"));
    buildah(&puller, &["push", "-q", "--tls-verify=false", "demo", &docker]);
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let guarded = DockerRegistry::start_with(Some(("user", "SECRET-password")), Some(&identity));
    let docker = format!("docker://{}", guarded.name("demo:latest"));
    buildah(&puller, &["push", "-q", "--tls-verify=false", "--creds=user:SECRET-password", "demo", &docker]);
    puller.docker_config(&json!({ "auths": { guarded.host(): { "auth": base64("user:SECRET-password") } } }));
    let ca = authority.write(&puller.home());
    buildah(&puller, &["push", "-q", "demo", &format!("oci:{}:latest", path("layout"))]);
    buildah(&puller, &["push", "-q", "demo", &format!("oci-archive:{}:latest", path("oci.tar"))]);
    buildah(&puller, &["push", "-q", "demo", &format!("docker-archive:{}:demo:latest", path("docker.tar"))]);
    let sources = [
        registry.name("demo"),
        guarded.name("demo"),
        format!("oci:{}", path("layout")),
        format!("oci-archive:{}", path("oci.tar")),
        format!("docker-archive:{}", path("docker.tar")),
        path("layout"),
        path("oci.tar"),
        path("docker.tar"),
    ];
    let mut diff_ids = Vec::new();
    for source in &sources {
        let pulled = puller.pull(source).arg("--ca-cert").arg(&ca).run().quietly();
        let records = pulled.records();
        assert_eq!(records.last().unwrap()["type"], "end", "{source}");
        let env = records[0]["config"]["config"]["Env"].as_array().unwrap();
        assert!(env.iter().any(|entry| entry == "X=y"), "{source}");
        let layers = &records[1..records.len() - 1];
        diff_ids.push(layers.iter().map(|record| record["diffId"].clone()).collect::<Vec<Value>>());
        assert!(layers.iter().all(|record| Path::new(record["path"].as_str().unwrap()).is_file()), "{source}");
    }
    assert!(diff_ids.iter().all(|ids| *ids == diff_ids[0] && !ids.is_empty()), "{diff_ids:?}");
    assert_whole(&puller.store());
}

#[test]
fn archives_and_layouts_by_skopeo_are_read() {
    let puller = Puller::new();
    let (image, from) = layout(&puller);
    let from = format!("oci:{}:latest", from.display());
    let path = |name: &str| puller.path(name).display().to_string();
    skopeo(&[&from, &format!("oci:{}:mine", path("copy"))]);
    skopeo(&[&from, &format!("oci-archive:{}:mine", path("oci.tar"))]);
    skopeo(&[&from, &format!("docker-archive:{}:registry.test/demo:1", path("docker.tar"))]);
    puller.pull(format!("oci:{}:mine", path("copy"))).run().quietly().gets_exactly(&image);
    puller.pull(format!("oci-archive:{}:mine", path("oci.tar"))).run().quietly().gets_exactly(&image);
    for name in ["", ":registry.test/demo:1"] {
        let pulled = puller.pull(format!("docker-archive:{}{name}", path("docker.tar"))).run().quietly();
        let records = pulled.records();
        assert_eq!(records.len(), 4, "{}", pulled.ran.report());
        for (record, layer) in records[1..].iter().zip(&image.layers) {
            assert_eq!(record["diffId"], layer.diff_id);
        }
    }
    skopeo(&["--dest-compress-format", "zstd", "--dest-compress", &from, &format!("oci:{}:zstd", path("zstd"))]);
    let zstd = puller.pull(format!("oci:{}", path("zstd"))).run().quietly();
    assert_eq!(zstd.records().len(), 4, "{}", zstd.ran.report());
}
