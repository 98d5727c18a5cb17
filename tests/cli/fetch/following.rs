//! Layers that are told of while their bytes arrive (M4), for who wants to decode them meanwhile.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::one;
use crate::support::registry::{
    Image, Layer, Puller, Registry, Reply, docker_archive, docker_archive_25, docker_archive_old, get, oci_archive,
};
use crate::support::{scratch, shell, tool};

/// A name for standard output whose text stands in `manifest` as it comes: a pipe, for a file would be kept (R6).
fn piped(manifest: &Path) -> PathBuf {
    let pipe = manifest.with_extension("pipe");
    tool("mkfifo", [&pipe]);
    let (from, to) = (pipe.clone(), manifest.to_path_buf());
    thread::spawn(move || {
        let (mut from, mut to) = (File::open(from).unwrap(), File::create(to).unwrap());
        std::io::copy(&mut from, &mut to).unwrap();
    });
    pipe
}

/// The `fetching` record of a layer, as soon as it stands in `manifest`.
fn begun(manifest: &Path, index: usize) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let text = fs::read_to_string(manifest).unwrap_or_default();
        let records = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut records = records.map(|line| serde_json::from_str::<Value>(line).unwrap());
        if let Some(record) = records.find(|record| record["type"] == "fetching" && record["index"] == index) {
            return record;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("layer {index} is not told of: {}", fs::read_to_string(manifest).unwrap_or_default())
}

fn path(record: &Value) -> PathBuf {
    record["path"].as_str().expect("a path").into()
}

/// Every look at a growing file shows the beginning of what it shows later; `until` says when to stop.
fn watch(file: &mut File, mut until: impl FnMut() -> bool) -> Vec<u8> {
    let mut seen = Vec::new();
    loop {
        let is_last = until();
        file.read_to_end(&mut seen).unwrap();
        let mut again = Vec::new();
        let mut anew = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))).unwrap();
        anew.read_to_end(&mut again).unwrap();
        assert!(again.starts_with(&seen), "bytes that were there have changed");
        if is_last {
            return seen;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_layer_is_told_of_when_its_transfer_begins() {
    let image = Image::of([Layer::noise(1, 400_000), Layer::file("a", "b"), Layer::noise(2, 300_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get("/blobs/"), |reply| reply.slow(40_000, Duration::from_millis(50)));
    let puller = Puller::new();
    let pulled = puller.pull(registry.name("demo")).run().gets_exactly(&image);
    let records = pulled.all_records();
    let at = |kind: &str, index: usize| {
        records.iter().position(|record| record["type"] == kind && record["index"] == index).expect("a record")
    };
    for (index, layer) in image.layers.iter().enumerate() {
        let fetching = &records[at("fetching", index)];
        assert!(at("fetching", index) < at("layer", index));
        assert_eq!((&fetching["size"], &fetching["digest"]), (&json!(layer.bytes.len()), &json!(layer.digest)));
        assert!(path(fetching).is_absolute() && path(fetching).starts_with(puller.store()));
    }
    assert!(at("fetching", 2) < at("layer", 0), "several arrive at once");
    // What is there already does not arrive.
    let second = puller.pull(registry.name("demo")).run().gets_exactly(&image);
    assert_eq!(second.all_records().len(), image.layers.len() + 2);
    assert_eq!(second.manifest(), pulled.manifest(), "but for that the same bytes (R6)");
}

/// What `make` compares: a file does not change when the same image is fetched once more.
#[test]
fn a_manifest_that_is_kept_tells_of_nothing_on_its_way() {
    let image = Image::of([Layer::noise(1, 200_000), Layer::file("a", "b")]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let puller = Puller::new();
    let archive = puller.file("image.tar", oci_archive(&[("latest", &image)]));
    let store = puller.store();
    for name in [registry.name("demo"), archive.display().to_string()] {
        let kept = |name: &str, to: &str| {
            let out = puller.path(to);
            drop(puller.pull(name).stdout_file(&out).spawn().wait().succeeds());
            fs::read_to_string(out).unwrap()
        };
        let _ = fs::remove_dir_all(&store);
        let fetched = kept(&name, "fetched");
        assert_eq!(fetched, kept(&name, "cached"));
        let types: Vec<Value> =
            fetched.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].take()).collect();
        assert_eq!(types, ["image", "layer", "layer", "end"]);
    }
}

#[test]
fn the_bytes_are_in_the_file_that_becomes_the_blob() {
    let image = Image::of([Layer::noise(1, 600_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get(&*image.layers[0].digest), |reply| reply.slow(30_000, Duration::from_millis(30)));
    let puller = Puller::new();
    let out = puller.path("manifest");
    let running = puller.pull(registry.name("demo")).stdout_file(piped(&out)).spawn();
    let record = begun(&out, 0);
    let mut file = File::open(path(&record)).unwrap();
    let blob = puller.store().join("blobs").join(image.layers[0].digest.replace(':', "/"));
    assert!(!blob.exists(), "it is told of too late");
    let seen = watch(&mut file, || blob.exists());
    assert!(seen == *image.layers[0].bytes, "{} bytes were seen", seen.len());
    assert_eq!(file.metadata().unwrap().ino(), fs::metadata(&blob).unwrap().ino());
    drop(running.wait().succeeds());
}

/// A server that lies in the middle, once: what a reader has seen stays, and the whole blob is another file.
#[test]
fn a_transfer_that_starts_over_does_so_in_another_file() {
    let image = Image::of([Layer::noise(1, 600_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let layer = || get(&*image.layers[0].digest);
    let near_the_end = image.layers[0].bytes.len() - 20_000;
    let slow = |reply: Reply| reply.slow(10_000, Duration::from_millis(40));
    registry.when(layer().once(), move |reply| slow(reply.flipped(near_the_end)));
    registry.when(layer(), slow);
    let puller = Puller::new();
    let out = puller.path("manifest");
    let running = puller.pull(registry.name("demo")).retries(3).stdout_file(piped(&out)).spawn();
    let record = begun(&out, 0);
    let mut file = File::open(path(&record)).unwrap();
    let blob = puller.store().join("blobs").join(image.layers[0].digest.replace(':', "/"));
    let seen = watch(&mut file, || blob.exists());
    assert!(seen != *image.layers[0].bytes, "the right bytes arrived in the first file");
    assert_ne!(file.metadata().unwrap().ino(), fs::metadata(&blob).unwrap().ino());
    assert!(fs::read(&blob).unwrap() == *image.layers[0].bytes);
    drop(running.wait().succeeds());
    let text = fs::read_to_string(&out).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\"fetching\"")).count(), 2, "a record for each file\n{text}");
}

/// What an earlier run left is read, and goes on in the same file.
#[test]
fn a_transfer_that_is_carried_on_with_keeps_its_file() {
    let (image, registry, puller) = one();
    let layer = &image.layers[0];
    let left = puller.file(&format!("store/partial/{}", layer.digest.replace(':', ".")), &layer.bytes[..10_000]);
    let inode = fs::metadata(&left).unwrap().ino();
    let pulled = puller.pull(registry.name("demo")).run().gets_exactly(&image);
    let records = pulled.all_records();
    let record = records.iter().find(|record| record["type"] == "fetching" && record["index"] == 0).unwrap();
    assert_eq!(
        fs::canonicalize(path(record).parent().unwrap()).unwrap(),
        fs::canonicalize(left.parent().unwrap()).unwrap()
    );
    let blob = puller.store().join("blobs").join(layer.digest.replace(':', "/"));
    assert_eq!(fs::metadata(blob).unwrap().ino(), inode);
}

#[test]
fn a_transfer_that_fails_ends_the_manifest_without_its_end() {
    let (image, registry, puller) = one();
    registry.when(get(&*image.layers[0].digest), |reply| reply.cut_at(7_000));
    let pulled = puller.pull(registry.name("demo")).retries(0).run().fails(&[&image.layers[0].digest]);
    let records = pulled.all_records();
    assert!(records.iter().any(|record| record["type"] == "fetching" && record["index"] == 0));
    assert!(records.iter().all(|record| record["type"] != "end"));
}

#[test]
fn layers_carry_their_chain_ids() {
    let base = Layer::noise(1, 3_000);
    let one = Image::of([base.clone(), Layer::file("a", "b")]);
    let two = Image::of([base, Layer::file("a", "b"), Layer::file("c", "d")]);
    let registry = Registry::start();
    let puller = Puller::new();
    let chains = [("one", &one), ("two", &two)].map(|(name, image)| {
        registry.push(name, "latest", image);
        let pulled = puller.pull(registry.name(name)).run().gets(image);
        let records = pulled.records();
        let layers = &records[1..records.len() - 1];
        assert_eq!(layers[0]["chainId"], layers[0]["diffId"]);
        let text = |record: &Value, field: &str| record[field].as_str().expect("a digest").to_owned();
        for pair in layers.windows(2) {
            let below = format!("{} {}", text(&pair[0], "chainId"), text(&pair[1], "diffId"));
            assert_eq!(pair[1]["chainId"], crate::support::registry::digest(below.as_bytes()));
        }
        layers.iter().map(|layer| text(layer, "chainId")).collect::<Vec<_>>()
    });
    assert_eq!(chains[0][..], chains[1][..2]);
}

/// Waits until the text of `file` is as it should be.
fn wait_for(file: &Path, is_right: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if is_right(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "{}: {text}", file.display());
        thread::sleep(Duration::from_millis(5));
    }
}

/// What an archive is an image of stands at its end: its layers are read before, whatever they are called and however
/// they are compressed.
#[test]
fn layers_of_an_archive_are_read_while_it_arrives() {
    let layers = || [Layer::noise(1, 400_000), Layer::file("a", "b"), Layer::plain(&tar_with("c", None))];
    let image = Image::of(layers());
    for (kind, archive) in [
        ("an OCI archive", oci_archive(&[("latest", &image)])),
        ("docker save since 25", docker_archive_25(&[("demo:latest", &image)])),
        ("docker save of before", docker_archive_old(&["demo:latest"], &image)),
        ("podman save", docker_archive(&[(&["demo:latest"], &image)])),
    ] {
        let scratch = scratch();
        let at = |name: &str| scratch.path().join(name);
        fs::write(at("archive.tar"), &archive).unwrap();
        let whole = "oci-fetch -d \"$0/one\" \"$0/archive.tar\" > \"$0/whole\" && oci-flatten < \"$0/whole\"";
        let expected = shell(whole).arg(scratch.path()).run().succeeds().quiet().stdout;
        tool("mkfifo", [at("pipe").to_str().unwrap()]);
        let script = "oci-fetch -d \"$0/two\" - < \"$0/pipe\" | tee \"$0/manifest\" | oci-flatten -v 2> \"$0/said\"";
        let running = shell(script).arg(scratch.path()).spawn();
        let mut pipe = File::options().write(true).open(at("pipe")).unwrap();
        // The end of the archive, and with it what its blobs are, does not come before they are read.
        let (first, last) = archive.split_at(archive.len() - 1024);
        pipe.write_all(first).unwrap();
        let said = wait_for(&at("said"), |said| said.matches(" entries read in ").count() == 3);
        assert!(!said.contains("layer 0"), "{kind}: {said}");
        let manifest = fs::read_to_string(at("manifest")).unwrap();
        assert!(manifest.lines().all(|line| line.starts_with(r#"{"type":"arriving","size":"#)), "{kind}: {manifest}");
        pipe.write_all(last).unwrap();
        drop(pipe);
        assert!(running.wait().succeeds().stdout == expected, "{kind}");
        let said = fs::read_to_string(at("said")).unwrap();
        assert_eq!(said.matches(" entries read in ").count(), 3, "{kind}: they are read once\n{said}");
    }
}

/// A tar of one file, perhaps with an ACL that cannot be kept.
fn tar_with(name: &str, acl: Option<&[u8]>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions(acl.map(|value| ("SCHILY.acl.ace", value))).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, &b"text"[..]).unwrap();
    builder.into_inner().unwrap()
}

/// Of blobs that turn out to be layers there is as much to say as if they had been read late, and of others nothing.
#[test]
fn only_what_becomes_a_layer_is_spoken_of() {
    let good = Image::of([Layer::gzip(&tar_with("a", None))]);
    let odd = Image::of([Layer::gzip(&tar_with("b", Some(b"owner@:rwx::allow")))]);
    let junk = Image::of([Layer::gzip(&[b'x'; 3000])]);
    let scratch = scratch();
    let archive = oci_archive(&[("good", &good), ("odd", &odd), ("junk", &junk)]);
    fs::write(scratch.path().join("archive.tar"), archive).unwrap();
    let flatten = |name: &str| {
        let script = "cat \"$0/archive.tar\" | oci-fetch -d \"$(mktemp -d \"$0/XXXXXX\")\" \"oci-archive:/dev/stdin:$1\" | \
            { sleep 0.2; oci-flatten; } | tar -t";
        shell(script).arg(scratch.path()).arg(name).run()
    };
    flatten("good").succeeds().quiet().stdout_is("./\na\n");
    flatten("odd").succeeds().says("ACL").one_line().stdout_is("./\nb\n");
    flatten("junk").says("layer 0");
}
