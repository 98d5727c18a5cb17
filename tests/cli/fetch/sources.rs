//! Images on this machine: layouts, archives, overlay2 directories (R6, R7, M1, M2).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::registry::{Artifact, Image, Index, Layer, Puller, oci_layout};
use crate::support::shell;

fn image() -> Image {
    Image::of([Layer::noise(1, 30_000), Layer::file("a", "b")])
}

fn other() -> Image {
    Image::small("other")
}

/// The names and contents of all files below a directory.
fn listing(directory: &Path) -> String {
    shell("cd \"$0\" && find . -type f -exec sha256sum {} + | sort").arg(directory).run().succeeds().text().to_owned()
}

#[test]
fn a_layout_is_read_where_it_stands() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    oci_layout(&layout, &[("latest", &image())]);
    let before = listing(&layout);
    let pulled = puller.pull(format!("oci:{}", layout.display())).run().quietly().gets_exactly(&image());
    for record in &pulled.records()[1..3] {
        assert!(record["path"].as_str().unwrap().starts_with(layout.to_str().unwrap()), "{record}");
    }
    assert_eq!(listing(&layout), before);
}

/// As for a service of the system.
#[test]
fn what_is_used_in_place_needs_neither_a_store_nor_a_home() {
    let puller = Puller::new();
    oci_layout(&puller.path("layout"), &[("latest", &image())]);
    let homeless = |command: &str| {
        let run = shell("exec env -i PATH=\"$PATH\" oci-fetch $0").arg(command);
        run.current_dir(puller.path("")).run()
    };
    homeless("oci:layout").succeeds().quiet();
    homeless("./layout").succeeds().quiet();
    for needy in ["localhost:1/demo", "oci-archive:none", "--prune 1d"] {
        homeless(needy).fails_with(2, "neither --dir nor HOME is set").one_line();
    }
}

#[test]
fn a_layout_of_several_needs_a_name() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    oci_layout(&layout, &[("one", &image()), ("two", &other()), ("", &Image::small("nameless"))]);
    let name = |tag: &str| format!("oci:{}{tag}", layout.display());
    puller.pull(name(":two")).run().gets_exactly(&other());
    puller.pull(name(":one")).run().gets_exactly(&image());
    puller.pull(name("")).run().fails(&["one", "two"]).says_nothing();
    puller.pull(name(":three")).run().fails(&["three", "one", "two"]).says_nothing();
    puller.pull(name(&format!("@{}", other().root().digest))).run().gets_exactly(&other());
}

#[test]
fn an_index_in_a_layout_is_chosen_from_by_platform() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    let foreign = Image::small("x").platform("linux/s390x");
    oci_layout(&layout, &[("latest", &Index::of([&foreign, &image()]).attestation(&image()))]);
    let name = format!("oci:{}", layout.display());
    puller.pull(&name).run().gets_exactly(&image());
    puller.pull(&name).args(["--platform", "linux/s390x"]).run().gets_exactly(&foreign);
    puller.pull(&name).args(["--platform", "linux/riscv64"]).run().fails(&["linux/s390x"]).says_nothing();
}

#[test]
fn a_layout_that_lacks_something_is_an_error() {
    let puller = Puller::new();
    for (what, cause) in [
        ("manifest", image().root().digest),
        ("layer", image().layers[1].digest.clone()),
        ("config", crate::support::registry::digest(&image().config())),
    ] {
        let layout = puller.path(what);
        oci_layout(&layout, &[("latest", &image())]);
        let blob = layout.join("blobs").join(cause.replace(':', "/"));
        let name = format!("oci:{}", layout.display());
        let bytes = fs::read(&blob).unwrap();
        for damaged in [None, Some(bytes[..bytes.len() - 1].to_vec()), Some([&bytes[..], b"+"].concat())] {
            fs::remove_file(&blob).unwrap();
            fs::write(&blob, damaged.as_deref().unwrap_or_default()).unwrap();
            if damaged.is_none() {
                fs::remove_file(&blob).unwrap();
            }
            puller.pull(&name).run().fails(&[&cause[7..19]]);
            fs::write(&blob, &bytes).unwrap();
        }
        puller.pull(&name).run().gets(&image());
    }
}

#[test]
fn documents_of_a_layout_are_verified() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    oci_layout(&layout, &[("latest", &image())]);
    for digest in [image().root().digest, crate::support::registry::digest(&image().config())] {
        let blob = layout.join("blobs").join(digest.replace(':', "/"));
        let bytes = fs::read(&blob).unwrap();
        let mut wrong = bytes.clone();
        let at = wrong.iter().position(|byte| *byte == b'2').unwrap();
        wrong[at] = b'3';
        fs::write(&blob, wrong).unwrap();
        puller.pull(format!("oci:{}", layout.display())).run().fails(&["digest|sha256"]).says_nothing();
        fs::write(&blob, bytes).unwrap();
    }
}

#[test]
fn a_layout_whose_blobs_are_elsewhere_is_refused() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    oci_layout(&layout, &[("latest", &image())]);
    let mut index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"] = json!("sha256:../../../../etc/passwd");
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    puller.pull(format!("oci:{}", layout.display())).run().fails(&["digest"]).says_nothing();
}

#[test]
fn an_overlay2_directory_is_followed_down_its_chain() {
    let puller = Puller::new();
    let root = puller.path("overlay2");
    for (name, lower) in [("base", None), ("middle", Some("l/BASE")), ("top", Some("l/MIDDLE:l/BASE"))] {
        fs::create_dir_all(root.join(name).join("diff")).unwrap();
        fs::write(root.join(name).join("diff/file"), name).unwrap();
        fs::create_dir_all(root.join("l")).unwrap();
        symlink(format!("../{name}/diff"), root.join("l").join(name.to_uppercase())).unwrap();
        if let Some(lower) = lower {
            fs::write(root.join(name).join("lower"), lower).unwrap();
        }
    }
    for name in [format!("overlay2:{}", root.join("top").display()), root.join("top").display().to_string()] {
        let pulled = puller.pull(name).run().quietly();
        let records = pulled.records();
        assert_eq!(records[0]["layers"], 3);
        assert!(records[0]["manifest"].is_null() && records[0]["config"].is_null());
        for (record, layer) in records[1..4].iter().zip(["base", "middle", "top"]) {
            assert_eq!(record["mediaType"], "inode/directory");
            assert!(record.get("digest").is_none() && record.get("diffId").is_none());
            let path = Path::new(record["path"].as_str().unwrap());
            assert_eq!(fs::read_to_string(path.join("file")).unwrap(), layer);
        }
        assert_eq!(records[4]["type"], "end");
    }
    fs::remove_file(root.join("l/BASE")).unwrap();
    puller.pull(format!("overlay2:{}", root.join("top").display())).run().fails(&["BASE"]);
}

/// An overlay2 storage with one layer, `top`, whose `lower` is this.
fn storage(root: &Path, lower: &str) -> String {
    fs::create_dir_all(root.join("top/diff")).unwrap();
    fs::create_dir_all(root.join("l")).unwrap();
    fs::write(root.join("top/lower"), lower).unwrap();
    format!("overlay2:{}", root.join("top").display())
}

#[test]
fn an_overlay2_chain_does_not_leave_its_storage() {
    let puller = Puller::new();
    let secret = puller.file("secret/shadow", "").parent().unwrap().to_path_buf();
    let outside = secret.to_str().unwrap();
    let root = puller.path("overlay2");
    let links = [("ABSOLUTE", outside), ("OUT", "../../secret"), ("ROUND", "../../overlay2/top/diff")];
    fs::create_dir_all(root.join("l")).unwrap();
    for (link, target) in links {
        symlink(target, root.join("l").join(link)).unwrap();
    }
    for lower in ["../secret", outside, "l/../../secret", "top/../../secret", "l/ABSOLUTE", "l/OUT", "l/ROUND"] {
        let name = storage(&root, lower);
        puller.pull(name).run().fails(&[lower, "leads out of", root.to_str().unwrap()]).says_nothing();
    }
    let name = storage(&root, "");
    puller.pull(&name).run().quietly();
    // The layer's own directory, and the file that names the others.
    fs::remove_dir(root.join("top/diff")).unwrap();
    symlink("../../secret", root.join("top/diff")).unwrap();
    puller.pull(&name).run().fails(&["top/diff", "leads out of"]).says_nothing();
    fs::remove_file(root.join("top/diff")).unwrap();
    storage(&root, "");
    fs::remove_file(root.join("top/lower")).unwrap();
    symlink(secret.join("shadow"), root.join("top/lower")).unwrap();
    puller.pull(&name).run().fails(&["top/lower", "symbolic link"]).says_nothing();
    fs::remove_file(root.join("top/lower")).unwrap();
    crate::support::tool("mkfifo", [root.join("top/lower")]);
    puller.pull(&name).run().fails(&["top/lower", "no regular file"]).says_nothing();
}

/// containers/storage with `use_composefs`: the files of `diff` have digests for names.
#[test]
fn an_overlay2_layer_kept_with_composefs_is_refused() {
    let puller = Puller::new();
    let root = puller.path("overlay2");
    let name = storage(&root, "l/BASE");
    fs::create_dir_all(root.join("base/diff/3b")).unwrap();
    symlink("../base/diff", root.join("l/BASE")).unwrap();
    puller.pull(&name).run().quietly();
    for layer in ["top", "base"] {
        let data = root.join(layer).join("composefs-data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("composefs.blob"), "").unwrap();
        puller.pull(&name).run().fails(&["composefs", "podman save"]).says_nothing();
        fs::remove_dir_all(data).unwrap();
    }
}

#[test]
fn sources_on_disk_need_no_network_and_no_home() {
    let puller = Puller::new();
    let layout = puller.path("layout");
    oci_layout(&layout, &[("latest", &image())]);
    let pull = puller.pull(format!("oci:{}", layout.display())).arg("--offline");
    pull.env("https_proxy", "http://127.0.0.1:1").run().gets(&image());
}
