//! `oci-flatten --cache`: shared by many processes, killed, out of space, bounded (F18).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::script::{Item, What};
use crate::support::stack::{self, Manifest};
use crate::support::{Compression, Filter, Ran, needs, scratch, sha256, shell};

/// Three layers of some MiB each that compress badly, and the file with their manifest.
fn layers(dir: &Path) -> (PathBuf, Vec<String>) {
    let (mut manifest, mut diff_ids) = (Manifest::default(), Vec::new());
    for seed in 0..3_u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let content: Vec<u8> = (0..4 << 20).map(|_| random.u8(..)).collect();
        let tar = stack::tar(&[Item::new(format!("noise-{seed}"), What::File(content))]);
        let how = if seed == 1 { Compression::Zstd } else { Compression::Gzip };
        manifest.blob(dir.join(format!("blob-{seed}")), &stack::compress(&tar, how), &tar, json!({}));
        diff_ids.push(sha256(&tar));
    }
    let path = dir.join("manifest");
    fs::write(&path, manifest.text()).unwrap();
    (path, diff_ids)
}

fn with_cache(cache: &Path, manifest: &Path) -> Filter {
    Filter::oci_flatten().arg("--cache").arg(cache).arg(manifest)
}

fn without_cache(manifest: &Path) -> Ran {
    Filter::oci_flatten().env_remove("OCI_FLATTEN_CACHE").arg(manifest).run().succeeds()
}

/// Whatever has a digest's name is what that digest says; nothing else is left but marks of use.
fn holds_what_it_says(cache: &Path) -> usize {
    let Ok(names) = fs::read_dir(cache.join("sha256")) else { return 0 };
    let mut entries = 0;
    for entry in names.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".used") {
            continue;
        }
        assert_eq!(sha256(&fs::read(entry.path()).unwrap()), name);
        entries += 1;
    }
    entries
}

#[test]
fn many_processes_share_a_cache() {
    let scratch = scratch();
    let (manifest, _) = layers(scratch.path());
    let right = without_cache(&manifest).stdout;
    let cache = scratch.path().join("cache");
    for round in 0..2 {
        thread::scope(|scope| {
            let run = || assert!(with_cache(&cache, &manifest).run().succeeds().quiet().stdout == right);
            let runs: Vec<_> = (0..6).map(|_| scope.spawn(run)).collect();
            runs.into_iter().for_each(|run| run.join().unwrap());
        });
        assert_eq!(holds_what_it_says(&cache), 3, "round {round}");
    }
    // From then on nothing is decoded: the environment names the cache as well as the flag.
    for seed in 0..3 {
        fs::remove_file(scratch.path().join(format!("blob-{seed}"))).unwrap();
    }
    let run = Filter::oci_flatten().env("OCI_FLATTEN_CACHE", &cache).arg(&manifest).run().succeeds();
    assert!(run.stdout == right);
    Filter::oci_flatten().env("OCI_FLATTEN_CACHE", "").arg(&manifest).run().fails_with(1, "blob-0");
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_wrong_in_the_cache() {
    let scratch = scratch();
    let (manifest, _) = layers(scratch.path());
    let right = without_cache(&manifest).stdout;
    let cache = scratch.path().join("cache");
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..25 {
        let running = with_cache(&cache, &manifest).spawn();
        thread::sleep(Duration::from_millis(random.u64(0..400)));
        running.signal(Signal::KILL);
        let _ = running.wait();
        holds_what_it_says(&cache);
        if round % 5 == 4 {
            assert!(with_cache(&cache, &manifest).run().succeeds().stdout == right);
            assert_eq!(holds_what_it_says(&cache), 3);
            fs::remove_dir_all(&cache).unwrap();
        }
    }
}

/// Whatever is wrong in the cache is decoded again, not reported as wrong in the image.
#[test]
fn what_does_not_belong_in_the_cache_is_replaced() {
    let scratch = scratch();
    let (manifest, diff_ids) = layers(scratch.path());
    let right = without_cache(&manifest).stdout;
    let cache = scratch.path().join("cache");
    let item = |name: &str, what| stack::tar(&[Item::new(name, what)]);
    let wrong = [
        Vec::new(),
        vec![0; 1024],
        item("other", What::File(b"x".to_vec())),
        item("../climbs", What::File(b"x".to_vec())),
        item("link", What::Link(b"nothing".to_vec())),
        item(".wh.", What::File(Vec::new())),
        b"no tar at all".to_vec(),
        stack::compress(&item("other", What::Dir), Compression::Gzip),
    ];
    for bytes in wrong {
        assert!(with_cache(&cache, &manifest).run().succeeds().stdout == right);
        let entry = cache.join("sha256").join(&diff_ids[1]);
        fs::remove_file(&entry).unwrap();
        fs::write(&entry, &bytes).unwrap();
        let shown = bytes.escape_ascii().to_string();
        assert!(with_cache(&cache, &manifest).run().succeeds().stdout == right, "{}", &shown[..shown.len().min(200)]);
        assert_eq!(holds_what_it_says(&cache), 3, "{}", &shown[..shown.len().min(200)]);
    }
}

#[test]
fn a_full_disk_under_the_cache_costs_only_the_cache() {
    needs(&["unshare", "mount"]);
    let scratch = scratch();
    let (manifest, _) = layers(scratch.path());
    let right = without_cache(&manifest).stdout;
    let small = scratch.path().join("small");
    fs::create_dir(&small).unwrap();
    // Room for one layer of three, and for none.
    for size in ["6M", "1M"] {
        let script = "mount -t tmpfs -o size=$2 none \"$1\" || exit 99
            oci-flatten -j 1 --cache \"$1\" \"$0\"; status=$?
            for file in \"$1\"/sha256/*; do case $file in *.used) ;; *)
                [ \"$(sha256sum <\"$file\" | cut -c1-64)\" = \"${file##*/}\" ] || exit 98;; esac; done
            exit $status";
        let script = format!("exec unshare -m sh -c '{}' \"$0\" \"$1\" {size}", script.replace('\'', "'\\''"));
        let ran = shell(&script).arg(&manifest).arg(&small).run().succeeds();
        assert!(ran.stdout == right, "{size}");
        let said = ran.stderr.matches("layers are decoded without being kept").count();
        assert!(said == 1 && ran.stderr.contains("No space left"), "{size}: {}", ran.report());
    }
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let scratch = scratch();
    let (manifest, diff_ids) = layers(scratch.path());
    let right = without_cache(&manifest).stdout;
    let cache = scratch.path().join("cache");
    assert!(with_cache(&cache, &manifest).args(["-j", "1"]).run().succeeds().stdout == right);
    assert_eq!(holds_what_it_says(&cache), 3);
    // Every layer has 4 MiB: with the second one used last, one more has room.
    let used = |id: &String| cache.join("sha256").join(id).with_extension("used");
    let now = std::time::SystemTime::now();
    for (age, id) in [(30, &diff_ids[0]), (10, &diff_ids[1]), (20, &diff_ids[2])] {
        let file = fs::File::options().write(true).open(used(id)).unwrap();
        file.set_modified(now - Duration::from_secs(age)).unwrap();
    }
    let small = scratch.path().join("small");
    fs::write(&small, Manifest::default().text()).unwrap();
    with_cache(&cache, &small).args(["--cache-size", "9M"]).run().succeeds();
    let there = |id: &String| cache.join("sha256").join(id).exists();
    assert_eq!(diff_ids.iter().map(there).collect::<Vec<_>>(), [false, true, true]);
    assert!(with_cache(&cache, &manifest).args(["--cache-size", "1K"]).run().succeeds().stdout == right);
    Filter::oci_flatten().env_remove("OCI_FLATTEN_CACHE").args(["--cache-size", "1K"]).run().fails_with(2, "--cache");
}
