//! Documents and stores on disk, as `oci-fetch` reads them, and layer manifests, as `oci-flatten` does.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::grows_in_proportion;
use super::tars::{file, member};
use crate::support::registry::{
    Image, Index, Layer, digest, docker_archive, docker_archive_old, oci_archive, oci_layout,
};

const FETCH: &str = "oci-fetch -q -d store";

#[test]
fn index_entries() {
    let image = Image::small("x");
    let entry = |at: usize| {
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&at.to_le_bytes()), "size": 7,
                "platform": { "os": "linux", "architecture": format!("a{at}"), "variant": "v", "os.features": ["f"] } })
    };
    grows_in_proportion("entries of an index", 6000, |directory, n| {
        let index = (0..n).fold(Index::of([&image]), |index, at| index.dangling(entry(at)));
        oci_layout(&directory.join("layout"), &[("latest", &index)]);
        format!("{FETCH} oci:layout:latest")
    });
    grows_in_proportion("entries of a layout", 6000, |directory, n| {
        let layout = directory.join("layout");
        oci_layout(&layout, &[("latest", &image)]);
        let mut index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let named = |at: usize| {
            let mut entry = entry(at);
            entry["annotations"] = json!({ "org.opencontainers.image.ref.name": format!("name{at}") });
            entry
        };
        index["manifests"].as_array_mut().unwrap().extend((0..n).map(named));
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        format!("{FETCH} oci:layout:latest")
    });
}

#[test]
fn indexes_in_an_index() {
    grows_in_proportion("indexes in an index", 100, |directory, n| {
        let inner = |at: usize| {
            let platform = json!({ "os": "linux", "architecture": format!("a{at}") });
            let descriptor = json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7,
                                     "digest": digest(&at.to_le_bytes()), "platform": platform });
            Index::default().dangling(descriptor)
        };
        let index = (0..n).fold(Index::of([&Image::small("x")]), |index, at| index.nested(&inner(at)));
        oci_layout(&directory.join("layout"), &[("latest", &index)]);
        format!("{FETCH} oci:layout:latest")
    });
    // Each says that what is meant stands in the next.
    grows_in_proportion("indexes below each other", 100, |directory, n| {
        let index = (0..n).fold(Index::of([&Image::small("x")]), |index, _| Index::default().nested(&index));
        oci_layout(&directory.join("layout"), &[("latest", &index)]);
        format!("{FETCH} oci:layout:latest")
    });
}

#[test]
fn manifests_and_configs() {
    grows_in_proportion("layers", 900, |directory, n| {
        let layers = (0..n).map(|at| Layer::plain(&[file(&at.to_string()), vec![0; 1024]].concat()));
        oci_layout(&directory.join("layout"), &[("latest", &Image::of(layers))]);
        format!("{FETCH} oci:layout:latest")
    });
    grows_in_proportion("annotations of a layer", 20_000, |directory, n| {
        let annotations = (0..n).map(|at| (format!("a{at}"), at.to_string().into())).collect();
        let layer = Layer::file("a", "b").annotated(Value::Object(annotations));
        oci_layout(&directory.join("layout"), &[("latest", &Image::of([layer]))]);
        format!("{FETCH} oci:layout:latest")
    });
    grows_in_proportion("a config's history", 20_000, |directory, n| {
        let image = Image::of([Layer::file("a", "b")]);
        let mut config: Value = serde_json::from_slice(&image.config()).unwrap();
        config["history"] = (0..n).map(|at| json!({ "created_by": at, "empty_layer": true })).collect();
        let image = image.config_bytes(config.to_string());
        oci_layout(&directory.join("layout"), &[("latest", &image)]);
        format!("{FETCH} oci:layout:latest")
    });
    grows_in_proportion("arrays in arrays", 500_000, |directory, n| {
        let image = Image::of([Layer::file("a", "b")]);
        let mut config = String::from_utf8(image.config()).unwrap();
        config.pop();
        let image = image.config_bytes(format!("{config},\"x\":{}{}}}", "[".repeat(n), "]".repeat(n)));
        oci_layout(&directory.join("layout"), &[("latest", &image)]);
        format!("{FETCH} oci:layout:latest")
    });
}

#[test]
fn image_archives() {
    let image = || Image::of([Layer::file("a", "b")]);
    grows_in_proportion("tags of docker save", 10_000, |directory, n| {
        let tags: Vec<String> = (0..n).map(|at| format!("demo:t{at}")).collect();
        let tags: Vec<&str> = tags.iter().map(|tag| &**tag).collect();
        fs::write(directory.join("archive"), docker_archive(&[(&tags, &image())])).unwrap();
        format!("{FETCH} docker-archive:archive:demo:t7")
    });
    grows_in_proportion("images of docker save", 300, |directory, n| {
        let tags: Vec<String> = (0..n).map(|at| format!("demo:t{at}")).collect();
        let tags: Vec<[&str; 1]> = tags.iter().map(|tag| [&**tag]).collect();
        let image = image();
        let named: Vec<(&[&str], &Image)> = tags.iter().map(|tags| (&tags[..], &image)).collect();
        fs::write(directory.join("archive"), docker_archive(&named)).unwrap();
        format!("{FETCH} docker-archive:archive:demo:t7")
    });
    grows_in_proportion("layers of an old docker save", 300, |directory, n| {
        // One in two is a link to the one before.
        let layer = |at: usize| Layer::plain(&[file(&(at / 2).to_string()), vec![0; 1024]].concat());
        let archive = docker_archive_old(&["demo:latest"], &Image::of((0..n).map(layer)));
        fs::write(directory.join("archive"), archive).unwrap();
        format!("{FETCH} docker-archive:archive")
    });
    // Each layer leads to the one there is, by way of the same long names.
    grows_in_proportion("links of an archive", 1000, |directory, n| {
        let tar = vec![0; 1024];
        let config = json!({ "architecture": "amd64", "os": "linux",
                             "rootfs": { "type": "layers", "diff_ids": vec![digest(&tar); n] } });
        let manifest = json!([{ "Config": "config", "RepoTags": ["demo:latest"], "Layers": vec!["layer"; n] }]);
        let name = |at: usize| if at == 35 { "0".to_owned() } else { format!("{at}{}", "x".repeat(15 * n)) };
        let links = (0..35).flat_map(|at| member(&name(at), b'1', &name(at + 1), b""));
        let members = [
            member("0", b'0', "", &tar),
            member("config", b'0', "", config.to_string().as_bytes()),
            member("manifest.json", b'0', "", manifest.to_string().as_bytes()),
            member("layer", b'1', &name(0), b""),
            links.collect(),
            vec![0; 1024],
        ];
        fs::write(directory.join("archive"), members.concat()).unwrap();
        format!("{FETCH} docker-archive:archive")
    });
    grows_in_proportion("entries of an archive's index", 1500, |directory, n| {
        let image = image();
        let names: Vec<String> = (0..n).map(|at| format!("name{at}")).collect();
        let scratch = crate::support::scratch();
        oci_layout(scratch.path(), &[("latest", &image)]);
        let mut index: Value = serde_json::from_slice(&fs::read(scratch.path().join("index.json")).unwrap()).unwrap();
        let entry = index["manifests"][0].clone();
        let named = names.iter().map(|name| {
            let mut entry = entry.clone();
            entry["annotations"]["org.opencontainers.image.ref.name"] = json!(name);
            entry
        });
        index["manifests"] = named.collect();
        let whole = [
            member("index.json", b'0', "", index.to_string().as_bytes()),
            file("oci-layout"),
            oci_archive(&[("latest", &image)]),
        ];
        // Of two documents the last one counts: the small one goes first.
        let archive = [&whole[2][..whole[2].len() - 1024], &whole[1], &whole[0], &[0; 1024]].concat();
        fs::write(directory.join("archive"), archive).unwrap();
        format!("{FETCH} oci-archive:archive:name7")
    });
    // What no document names, before what one does.
    grows_in_proportion("members of an archive", 2000, |directory, n| {
        let archive = oci_archive(&[("latest", &image())]);
        let other = (0..n).flat_map(|at| file(&format!("other/{at}")));
        fs::write(directory.join("archive"), other.chain(archive).collect::<Vec<u8>>()).unwrap();
        format!("{FETCH} oci-archive:archive")
    });
}

#[test]
fn overlay2_chains() {
    grows_in_proportion("directories below an overlay2 layer", 400, |directory, n| {
        let root = directory.join("overlay2");
        let layer = |name: &str| fs::create_dir_all(root.join(name).join("diff")).unwrap();
        layer("top");
        fs::create_dir_all(root.join("l")).unwrap();
        for at in 0..n {
            layer(&at.to_string());
            std::os::unix::fs::symlink(format!("../{at}/diff"), root.join(format!("l/{at}"))).unwrap();
        }
        let lower: Vec<String> = (0..n).map(|at| format!("l/{at}")).collect();
        fs::write(root.join("top/lower"), lower.join(":")).unwrap();
        format!("{FETCH} overlay2:{}", root.join("top").display())
    });
}

#[test]
fn layer_manifests() {
    let write = |directory: &Path, records: &mut dyn Iterator<Item = Value>| {
        let text: String = records.map(|record| format!("{record}\n")).collect();
        fs::write(directory.join("manifest"), text).unwrap();
        "oci-flatten -q manifest".to_owned()
    };
    let image = |layers: usize| {
        json!({ "type": "image", "version": 1, "reference": "x", "platform": null, "manifest": null, "config": null,
                "layers": layers })
    };
    let end = json!({ "type": "end" });
    grows_in_proportion("one layer many times", 500, |directory, n| {
        let tar = [file("f"), vec![0; 1024]].concat();
        let path = directory.join("layer");
        fs::write(&path, &tar).unwrap();
        let layer = |index: usize| {
            json!({ "type": "layer", "index": index, "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": digest(&tar), "size": tar.len(), "diffId": digest(&tar), "path": path })
        };
        write(directory, &mut [image(n)].into_iter().chain((0..n).map(layer)).chain([end.clone()]))
    });
    grows_in_proportion("records that say nothing", 20_000, |directory, n| {
        let unknown = |at: usize| json!({ "type": format!("later{at}"), "index": at, "more": [at] });
        write(directory, &mut [image(0)].into_iter().chain((0..n).map(unknown)).chain([end.clone()]))
    });
    grows_in_proportion("announcements", 900, |directory, n| {
        let record = |index: usize| {
            json!({ "type": "fetching", "index": index, "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": digest(b"x"), "size": 1, "diffId": digest(b"x"), "path": directory.join("none") })
        };
        write(directory, &mut [image(n)].into_iter().chain((0..n).map(record)).chain([end.clone()]))
    });
}

#[test]
fn globs_with_many_stars() {
    grows_in_proportion("a name for a glob with many stars", 12_000, |directory, n| {
        let tar = [member(&"a".repeat(n), b'0', "", b""), vec![0; 1024]].concat();
        fs::write(directory.join("layer.tar"), tar).unwrap();
        format!("oci-flatten -q -n --exclude '{}b' -l layer.tar", "*a".repeat(40))
    });
}
