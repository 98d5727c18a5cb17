//! A store in which others have put things (R1): nothing is followed, nothing hangs, nothing is believed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::one;
use crate::support::registry::{Artifact, Image, Layer, Puller, Registry, any, digest, oci_layout};
use crate::support::{Filter, needs_root, shell, tool};

fn hex(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn blob(store: &Path, digest: &str) -> PathBuf {
    store.join("blobs").join(digest.replace(':', "/"))
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What stands in a store, by its path there; the blobs and partial files are of the image's first layer.
fn places(image: &Image) -> Vec<String> {
    let layer = hex(&image.layers[0].digest);
    let names = ["oci-layout", "index.json", ".lock", "partial", "blobs", "blobs/sha256"].map(str::to_owned);
    let partial = [format!("partial/sha256.{layer}"), format!("partial/sha256.{}", hex(&digest(&image.config())))];
    let blobs = [&image.layers[0].digest, &image.root().digest].map(|d| format!("blobs/sha256/{}", hex(d)));
    [&names[..], &partial[..], &blobs[..]].concat()
}

#[test]
fn a_store_that_others_may_write_is_used_only_when_it_is_shared() {
    needs_root("give directories to another user");
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    for place in ["", "partial", "blobs", "blobs/sha256", "index.json"] {
        let path = puller.store().join(place);
        let mode = fs::metadata(&path).unwrap().mode();
        let told = path.to_str().unwrap().trim_end_matches('/').to_owned();
        for (spoil, who) in [(mode | 0o020, "group 0"), (mode | 0o002, "anybody")] {
            chmod(&path, spoil);
            let pull = || puller.pull(registry.name("demo"));
            pull().run().fails(&[&told, who, "--shared-store"]).says_nothing();
            pull().arg("--offline").run().fails(&[&told, who, "--shared-store"]).says_nothing();
            pull().arg("--shared-store").run().quietly().gets(&image);
            pull().args(["--offline", "--shared-store"]).run().quietly().gets(&image);
        }
        chmod(&path, mode);
        chown(&path, Some(1001), None).unwrap();
        puller.pull(registry.name("demo")).run().fails(&[&told, "user 1001", "--shared-store"]).says_nothing();
        puller.pull(registry.name("demo")).arg("--shared-store").run().gets(&image);
        chown(&path, Some(0), None).unwrap();
        puller.pull(registry.name("demo")).run().quietly().gets(&image);
    }
}

/// As /tmp is, and a tmpfs that was just mounted: what somebody adds there is not ours.
#[test]
fn in_a_sticky_directory_the_owner_counts() {
    needs_root("give files to another user");
    let (image, registry, puller) = one();
    fs::create_dir(puller.store()).unwrap();
    chmod(puller.store(), 0o1777);
    puller.pull(registry.name("demo")).run().quietly().gets(&image);
    puller.pull(registry.name("demo")).run().quietly().gets(&image);
    for place in ["index.json", "partial", ".lock", "blobs"] {
        chown(puller.store().join(place), Some(1001), None).unwrap();
        registry.push("demo", "latest", &Image::small(place));
        let told = format!("store/{place}");
        puller.pull(registry.name("demo")).run().fails(&[&told, "user 1001", "--shared-store"]);
        chown(puller.store().join(place), Some(0), None).unwrap();
    }
    // A blob that is somebody's can be fetched again.
    registry.push("demo", "latest", &image);
    chown(blob(&puller.store(), &image.layers[0].digest), Some(1001), None).unwrap();
    puller.pull(registry.name("demo")).run().warns("fetching it again").gets(&image);
    puller.pull(registry.name("demo")).run().quietly().gets(&image);
}

#[test]
fn a_store_is_nobody_elses_whatever_the_umask() {
    let (image, registry, puller) = one();
    let script = "umask 000; exec oci-fetch -q -d \"$0\" \"$@\"";
    let store = puller.store();
    let run = |more: &[&str]| {
        shell(script).arg(&store).arg(registry.name("demo")).args(more).run().succeeds();
    };
    let others = |path: &Path| fs::metadata(path).unwrap().mode() & 0o022;
    let layer = blob(&store, &image.layers[0].digest);
    let all = [store.clone(), store.join("partial"), store.join("index.json"), store.join(".lock"), layer];
    run(&[]);
    assert!(all.iter().all(|path| others(path) == 0), "{all:?}");
    puller.pull(registry.name("demo")).run().quietly().gets(&image);
    fs::remove_dir_all(&store).unwrap();
    run(&["--shared-store"]);
    assert!(all.iter().all(|path| others(path) == 0o022), "{all:?}");
}

/// Every file and directory of a store in turn is a link to a victim.
#[test]
fn links_that_others_planted_lead_nowhere() {
    let (image, registry, _) = one();
    for place in places(&image) {
        let puller = Puller::new();
        // Not all is there at first: the layers are to be fetched.
        let store = puller.store();
        fs::create_dir_all(store.join(&place).parent().unwrap()).unwrap();
        let is_directory = ["partial", "blobs", "blobs/sha256"].contains(&place.as_str());
        let victim = if is_directory {
            puller.file("victim/file", "precious").parent().unwrap().to_path_buf()
        } else {
            puller.file("victim/file", "precious")
        };
        for target in [victim, puller.path("victim/new")] {
            let _ = fs::remove_file(store.join(&place));
            symlink(&target, store.join(&place)).unwrap();
            let begin = Instant::now();
            let pulled = puller.pull(registry.name("demo")).arg("--shared-store").timeout(5).run();
            assert!(begin.elapsed() < Duration::from_secs(20), "{place}: it hangs");
            if pulled.ran.status.success() {
                pulled.gets(&image);
            } else {
                pulled.fails(&[place.rsplit('/').next().unwrap(), "symbolic link"]);
            }
            let there: Vec<_> = fs::read_dir(puller.path("victim")).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(there, ["file"], "{place}");
            assert_eq!(fs::read_to_string(puller.path("victim/file")).unwrap(), "precious", "{place}");
        }
    }
}

#[test]
fn a_second_name_of_somebodys_file_is_not_written_to() {
    let (image, registry, puller) = one();
    let victim = puller.file("victim", "precious");
    let partial = puller.store().join("partial");
    fs::create_dir_all(&partial).unwrap();
    fs::hard_link(&victim, partial.join(format!("sha256.{}", hex(&image.layers[0].digest)))).unwrap();
    puller.pull(registry.name("demo")).run().gets(&image);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::metadata(&victim).unwrap().nlink(), 1);
}

#[test]
fn nobody_waits_at_a_fifo() {
    let (image, registry, _) = one();
    for place in places(&image) {
        let puller = Puller::new();
        let path = puller.store().join(&place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        tool("mkfifo", [&path]);
        let begin = Instant::now();
        for offline in [true, false] {
            let pull = puller.pull(registry.name("demo")).args(offline.then_some("--offline"));
            let pulled = pull.run();
            match pulled.ran.status.success() {
                true => drop(pulled.gets(&image)),
                // Without an index there is no store.
                false if offline => drop(pulled.fails(&[])),
                false => drop(pulled.fails(&[place.rsplit('/').next().unwrap().split('.').next().unwrap()])),
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{place}: it hangs");
    }
}

/// As by one who makes room on the disk.
#[test]
fn a_store_that_is_removed_meanwhile_is_an_error() {
    for (part, gone) in [("/manifests/", ""), ("/manifests/", "partial"), ("/blobs/", ""), ("/blobs/", "partial")] {
        let (_, registry, puller) = one();
        let path = puller.store().join(gone);
        registry.when_asked(any(part), move |_, reply| {
            let _ = fs::remove_dir_all(&path);
            reply
        });
        let begin = Instant::now();
        puller.pull(registry.name("demo")).run().fails(&["removed|cannot give the file its name"]);
        assert!(begin.elapsed() < Duration::from_secs(20), "{part}, {gone}: it hangs");
    }
}

#[test]
fn a_layout_that_holds_a_fifo_is_an_error() {
    let image = Image::small("one");
    let config = digest(&image.config());
    let (manifest, layer) = (image.root().digest, image.layers[0].digest.clone());
    for place in ["index.json".to_owned(), hex(&manifest).into(), hex(&config).into(), hex(&layer).into()] {
        let puller = Puller::new();
        let layout = puller.path("layout");
        oci_layout(&layout, &[("latest", &image)]);
        let path = if place.ends_with("json") { layout.join(&place) } else { layout.join("blobs/sha256").join(&place) };
        fs::remove_file(&path).unwrap();
        tool("mkfifo", [&path]);
        let begin = Instant::now();
        puller.pull(format!("oci:{}", layout.display())).run().fails(&[&place, "FIFO"]).says_nothing();
        assert!(begin.elapsed() < Duration::from_secs(10), "{place}: it hangs");
    }
}

/// Some tools make layouts of links to what they have elsewhere.
#[test]
fn a_layout_of_links_is_read_where_it_stands() {
    let image = Image::small("one");
    let puller = Puller::new();
    let (real, layout) = (puller.path("real"), puller.path("layout"));
    oci_layout(&real, &[("latest", &image)]);
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    for entry in fs::read_dir(real.join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), layout.join("blobs/sha256").join(entry.file_name())).unwrap();
    }
    symlink(real.join("index.json"), layout.join("index.json")).unwrap();
    chmod(&layout, 0o777);
    puller.pull(format!("oci:{}", layout.display())).run().quietly().gets(&image);
}

/// Whoever may read a store's lock can keep it.
#[test]
fn a_lock_that_nobody_gives_back_is_told_of() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().gets(&image);
    let held = File::open(puller.store().join(".lock")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // What is there needs no lock.
    puller.pull(registry.name("demo")).timeout(2).run().quietly().gets(&image);
    let newer = Image::small("newer");
    registry.push("demo", "latest", &newer);
    puller.pull(registry.name("demo")).timeout(2).run().fails(&[".lock", "2 s"]);
    drop(held);
    puller.pull(registry.name("demo")).timeout(2).run().gets(&newer);
}

#[test]
fn a_partial_blob_that_gets_no_further_is_fetched_elsewhere() {
    let (image, registry, puller) = one();
    let name = format!("store/partial/{}", image.layers[0].digest.replace(':', "."));
    let partial = puller.file(&name, &image.layers[0].bytes[..1000]);
    let held = File::open(&partial).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let pulled = puller.pull(registry.name("demo")).timeout(2).run();
    pulled.warns("gets no further; fetching it here too").gets(&image);
    assert_eq!(fs::read(&partial).unwrap(), &image.layers[0].bytes[..1000], "it is the other's");
    let there: Vec<_> = fs::read_dir(puller.store().join("partial")).unwrap().collect();
    assert_eq!(there.len(), 1, "{there:?}");
}

/// Damage of the same length, as a failing disk or a careless hand leaves it.
#[test]
fn a_damaged_blob_is_fetched_again() {
    let (image, registry, puller) = one();
    let pull = || puller.pull(registry.name("demo"));
    pull().run().gets(&image);
    let all = [image.layers[0].digest.clone(), image.root().digest, digest(&image.config())];
    for damaged in all {
        let path = blob(&puller.store(), &damaged);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        pull().arg("--offline").run().fails(&[hex(&damaged), "digest"]);
        let pulled = pull().run();
        pulled.warns("fetching it again").gets(&image);
        pull().run().quietly().gets(&image);
        pull().arg("--offline").run().quietly().gets(&image);
    }
}

/// A failing disk changes no times: who decodes the layer finds it, and the next fetch heals it.
#[test]
fn damage_without_a_trace_costs_one_run() {
    for layer in [Layer::noise(1, 30_000), Layer::zstd(&tar_of_noise()), Layer::plain(&tar_of_noise())] {
        let image = Image::of([Layer::file("a", "b"), layer]);
        let registry = Registry::start();
        registry.push("demo", "latest", &image);
        let puller = Puller::new();
        puller.pull(registry.name("demo")).run().gets(&image);
        let path = blob(&puller.store(), &image.layers[1].digest);
        let mut bytes = image.layers[1].bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
        let pull = || puller.pull(registry.name("demo")).run();
        let flatten = |manifest: &[u8]| Filter::oci_flatten().stdin(manifest).run();
        let first = pull().quietly();
        drop(flatten(&first.ran.stdout).fails_with(1, "layer 1"));
        let second = pull().warns("fetching it again").gets(&image);
        flatten(&second.ran.stdout).succeeds();
        pull().quietly().gets(&image);
    }
}

fn tar_of_noise() -> Vec<u8> {
    let mut content = vec![0; 30_000];
    fastrand::Rng::with_seed(5).fill(&mut content);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(30_000);
    header.set_mode(0o644);
    builder.append_data(&mut header, "noise", &*content).unwrap();
    builder.into_inner().unwrap()
}

/// A copy made by hand is read once, and then known to be right.
#[test]
fn a_blob_that_was_written_in_place_is_verified_once() {
    let (image, registry, puller) = one();
    let pull = || puller.pull(registry.name("demo"));
    pull().run().gets(&image);
    let path = blob(&puller.store(), &image.layers[0].digest);
    fs::write(&path, &image.layers[0].bytes).unwrap();
    let verifying = "written to since it was verified";
    let verbose = || pull().arg("-v").run();
    assert!(verbose().ran.stderr.contains(verifying));
    assert!(!verbose().ran.stderr.contains(verifying));
}

#[test]
fn what_is_wrong_with_a_store_is_told_offline_too() {
    let (_, registry, puller) = one();
    let pull = |dir: &Path| {
        let pull = puller.pull_bare(registry.name("demo")).arg("--offline").arg("--dir").arg(dir);
        pull.run()
    };
    let file = puller.file("file", "no directory");
    pull(&file).fails(&["file: ", "not a directory"]).says_nothing();
    pull(&file.join("below")).fails(&["file/below", "not a directory"]).says_nothing();
    pull(&puller.path("nothing")).fails(&["nothing", "no blob store", "--offline"]).says_nothing();
    let other = puller.file("thesis/thesis.tex", "").parent().unwrap().to_path_buf();
    pull(&other).fails(&["thesis", "not an OCI image layout"]).says_nothing();
    let broken = puller.file("broken/index.json", "{").parent().unwrap().to_path_buf();
    pull(&broken).fails(&["broken/index.json"]).says_nothing();
    let looped = puller.path("loop");
    symlink(&looped, &looped).unwrap();
    pull(&looped).fails(&["loop: ", "symbolic links"]).says_nothing();
    let other = puller.file("other/index.json", "{}").parent().unwrap().to_path_buf();
    File::create(other.join("blobs")).unwrap();
    pull(&other).fails(&["other/blobs", "a regular file where a directory is due"]).says_nothing();
}
