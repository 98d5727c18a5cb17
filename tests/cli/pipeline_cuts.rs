//! Rules S1 to S3: whatever is cut, killed or spoilt, the last filter says so and leaves no output file.
//!
//! Every pipeline runs under `sh -c` without pipefail, so that its status is the last filter's alone.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::registry::DockerRegistry;
use crate::support::{Compression, Filter, Layout, Then, Wire, e2fsck_clean, sample, scratch, shell, skopeo_push};

/// How many places each stream is cut at.
const CUTS: u64 = 20;

/// A target that must not appear, or must stay as it was.
struct Target {
    path: PathBuf,
    old: Option<&'static [u8]>,
}

impl Target {
    /// Every other target exists beforehand.
    fn new(directory: &Path, cut: u64) -> Self {
        let path = directory.join(format!("rootfs-{cut}.ext4"));
        let old = (cut % 2 == 1).then_some(&b"what was here before"[..]);
        if let Some(old) = old {
            fs::write(&path, old).unwrap();
        }
        Self { path, old }
    }

    #[track_caller]
    fn is_untouched(&self, cut: u64) {
        let now = fs::read(&self.path).ok();
        assert!(now.as_deref() == self.old, "cut {cut}: the target was touched");
        let directory = self.path.parent().unwrap();
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| !name.starts_with("rootfs-")).collect();
        assert!(left.is_empty(), "cut {cut}: left behind: {left:?}");
    }
}

/// A layout with a layer of each compression and enough bytes in them that every cut is inside something.
fn layout(directory: &Path) -> PathBuf {
    let layer = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut tar = tar::Builder::new(Vec::new());
        for number in 0..40 {
            let mut content = vec![0; random.usize(..20_000)];
            random.fill(&mut content);
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, format!("layer{seed}/file{number}"), &content[..]).unwrap();
        }
        tar.into_inner().unwrap()
    };
    Layout::new(directory.join("layout"))
        .layer(&layer(1), Compression::Gzip)
        .layer(&layer(2), Compression::Zstd)
        .layer(&layer(3), Compression::Plain)
        .finish()
}

/// `(directory for scratch files, directory that holds only targets)`
fn places(scratch: &Path) -> (PathBuf, PathBuf) {
    let (work, targets) = (scratch.join("work"), scratch.join("targets"));
    fs::create_dir(&work).unwrap();
    fs::create_dir(&targets).unwrap();
    (work, targets)
}

#[test]
fn a_cut_manifest_fails_in_the_last_filter() {
    let scratch = scratch();
    let (work, targets) = places(scratch.path());
    let layout = layout(&work);
    let manifest = Filter::oci_fetch().arg(format!("oci:{}", layout.display())).run().succeeds().stdout;
    // The last newline is no part of the `end` record.
    let whole = manifest.len() as u64 - 2;
    for cut in 0..CUTS {
        let target = Target::new(&targets, cut);
        let kept = (whole * cut / (CUTS - 1)) as usize;
        let run = shell("oci-flatten | tar2ext4 -o \"$0\"").arg(&target.path).stdin(&manifest[..kept]).run();
        run.fails_with(1, "oci-flatten: ").says("tar2ext4: ");
        target.is_untouched(cut);
    }
}

#[test]
fn a_cut_tar_stream_fails_in_the_last_filter() {
    let scratch = scratch();
    let (work, targets) = places(scratch.path());
    let layout = layout(&work);
    let script = "oci-fetch \"oci:$0\" | oci-flatten";
    let whole = shell(script).arg(&layout).run().succeeds().stdout.len() as u64 - 1;
    for cut in 0..CUTS {
        let target = Target::new(&targets, cut);
        let kept = whole * cut / (CUTS - 1);
        shell(&format!("{script} | head -c {kept} | tar2ext4 -o \"$1\""))
            .arg(&layout)
            .arg(&target.path)
            .run()
            .fails_with(1, "tar2ext4: ");
        target.is_untouched(cut);
    }
}

#[test]
fn a_truncated_blob_fails_in_the_last_filter() {
    let scratch = scratch();
    let (work, targets) = places(scratch.path());
    let layout = layout(&work);
    for (number, blob) in layers(&layout).into_iter().enumerate() {
        let whole = fs::read(&blob).unwrap();
        for cut in 0..CUTS {
            let target = Target::new(&targets, cut);
            let kept = (whole.len() as u64 - 1) * cut / (CUTS - 1);
            fs::write(&blob, &whole[..kept as usize]).unwrap();
            shell("oci-fetch \"oci:$0\" | oci-flatten | tar2ext4 -o \"$1\"")
                .arg(&layout)
                .arg(&target.path)
                .run()
                .fails_with(1, "tar2ext4: ");
            target.is_untouched(cut + 100 * number as u64);
        }
        fs::write(&blob, &whole).unwrap();
    }
}

#[test]
fn a_blob_truncated_behind_the_manifest_fails_in_the_last_filter() {
    let scratch = scratch();
    let (work, targets) = places(scratch.path());
    let layout = layout(&work);
    let manifest = Filter::oci_fetch().arg(format!("oci:{}", layout.display())).run().succeeds().stdout;
    for blob in layers(&layout) {
        let whole = fs::read(&blob).unwrap();
        for cut in 0..CUTS {
            let target = Target::new(&targets, cut);
            let kept = (whole.len() as u64 - 1) * cut / (CUTS - 1);
            fs::write(&blob, &whole[..kept as usize]).unwrap();
            let run = shell("oci-flatten | tar2ext4 -o \"$0\"").arg(&target.path).stdin(&manifest[..]).run();
            run.fails_with(1, "oci-flatten: ").says("tar2ext4: ");
            target.is_untouched(cut);
        }
        // A spoilt byte is as bad as a missing one (F12).
        let mut spoilt = whole.clone();
        let middle = spoilt.len() / 2;
        spoilt[middle] ^= 1;
        fs::write(&blob, &spoilt).unwrap();
        let target = Target::new(&targets, 0);
        let run = shell("oci-flatten | tar2ext4 -o \"$0\"").arg(&target.path).stdin(&manifest[..]).run();
        run.fails_with(1, "oci-flatten: ").says("tar2ext4: ");
        target.is_untouched(0);
        fs::write(&blob, &whole).unwrap();
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux: there docker-registry and skopeo come as packages")]
fn a_killed_fetch_fails_in_the_last_filter() {
    let scratch = scratch();
    let (work, targets) = places(scratch.path());
    let registry = start_registry(&work);
    let total = bytes_of_a_whole_fetch(&registry, &work);
    for cut in 0..CUTS {
        let wire = Wire::to(&registry.host(), total * cut / CUTS, Then::Stall);
        let target = Target::new(&targets, cut);
        let (pid, store) = (work.join("pid"), work.join(format!("store-{cut}")));
        let running = shell(
            "sh -c 'echo $$ >\"$2\"; exec oci-fetch -d \"$1\" \"$0\"' \"$0\" \"$1\" \"$2\" \
             | oci-flatten | tar2ext4 -o \"$3\"",
        )
        .arg(format!("{}/image:latest", wire.host()))
        .arg(&store)
        .arg(&pid)
        .arg(&target.path)
        .spawn();
        assert!(wire.wait_exhausted(), "cut {cut}: the fetch did not come this far");
        let fetch: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(fetch).unwrap(), Signal::KILL).unwrap();
        running.wait().fails_with(1, "oci-flatten: ").says("tar2ext4: ");
        target.is_untouched(cut);
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux: there docker-registry and skopeo come as packages")]
fn a_connection_that_breaks_fails_in_the_last_filter_and_a_second_run_succeeds() {
    let scratch = scratch();
    let (work, targets) = places(scratch.path());
    let registry = start_registry(&work);
    let total = bytes_of_a_whole_fetch(&registry, &work);
    for cut in 0..CUTS {
        let target = Target::new(&targets, cut);
        let store = work.join(format!("store-{cut}"));
        let run = |host: &str, options: &str| {
            shell(&format!("oci-fetch {options} -d \"$1\" \"$0\" | oci-flatten | tar2ext4 -o \"$2\""))
                .arg(format!("{host}/image:latest"))
                .arg(&store)
                .arg(&target.path)
                .run()
        };
        let wire = Wire::to(&registry.host(), total * cut / CUTS, Then::Cut);
        run(&wire.host(), "--retries 0").fails_with(1, "oci-fetch: ").says("tar2ext4: ");
        target.is_untouched(cut);
        run(&registry.host(), "").succeeds();
        e2fsck_clean(&target.path);
    }
}

#[test]
fn a_reader_that_dies_makes_the_writer_fail_quietly() {
    let scratch = scratch();
    let layout = sample(scratch.path());
    for script in [
        "{ oci-fetch \"oci:$0\"; echo $? >\"$1\"; } | true",
        "oci-fetch \"oci:$0\" | { oci-flatten; echo $? >\"$1\"; } | true",
    ] {
        let status = scratch.path().join("status");
        // The reader is gone before the writer starts.
        let script = script.replacen("{ ", "{ sleep 0.2; ", 1);
        shell(&script).arg(&layout).arg(&status).run().succeeds().quiet();
        assert_eq!(fs::read_to_string(&status).unwrap(), "1\n", "{script}");
    }
}

/// The layer blobs of a layout.
fn layers(layout: &Path) -> Vec<PathBuf> {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let mut layers: Vec<PathBuf> = blobs.filter(|blob| fs::read(blob).unwrap().first() != Some(&b'{')).collect();
    layers.sort();
    assert_eq!(layers.len(), 3);
    layers
}

fn start_registry(work: &Path) -> DockerRegistry {
    let registry = DockerRegistry::start();
    skopeo_push(&layout(work), &registry.name("image:latest"));
    registry
}

/// How many bytes the registry sends for one whole fetch.
fn bytes_of_a_whole_fetch(registry: &DockerRegistry, work: &Path) -> u64 {
    let wire = Wire::to(&registry.host(), u64::MAX, Then::Stall);
    let image = format!("{}/image:latest", wire.host());
    Filter::oci_fetch().arg("-d").arg(work.join("store")).arg(image).run().succeeds();
    wire.carried()
}
