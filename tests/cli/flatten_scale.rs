//! What `oci-flatten` costs on large images (S5): memory by the entry, all processors, a spool no larger than the layers.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::script::{Item, What};
use crate::support::stack;
use crate::support::{Compression, Filter, Layout, PeakMemory, Running, needs, needs_root, scratch, shell};

/// What a process takes before it has read anything, buffers of the layers that are decoded at once included; bytes.
const CONSTANT: u64 = 24 << 20;
/// What an entry may take besides its name; bytes.
const PER_ENTRY: u64 = 300;

/// Writes a layer and returns how many bytes its names have.
fn write_layer(tar: &Path, items: impl Iterator<Item = Item>) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(tar).unwrap());
    let mut names = 0;
    for item in items {
        names += item.name.len() as u64;
        out.write_all(&stack::tar_without_end(&[item])).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.flush().unwrap();
    names
}

/// Adds a layer of these items to a layout by way of `tar`; returns the bytes of its names and of itself.
fn add(layout: Layout, tar: &Path, how: Compression, items: impl Iterator<Item = Item>) -> (Layout, u64, u64) {
    let names = write_layer(tar, items);
    let size = fs::metadata(tar).unwrap().len();
    let layout = layout.layer_file(tar, how);
    fs::remove_file(tar).unwrap();
    (layout, names, size)
}

/// Bytes that a process has in files below `directory`, which have no name there.
fn spooled(process: &Running, directory: &Path) -> u64 {
    let descriptors = format!("/proc/{}/fd", process.pid().as_raw_nonzero());
    let Ok(descriptors) = fs::read_dir(descriptors) else { return 0 };
    let spools = descriptors
        .flatten()
        .map(|descriptor| descriptor.path())
        .filter(|descriptor| fs::read_link(descriptor).is_ok_and(|target| target.starts_with(directory)));
    // One that is closed in the meantime is none.
    spools.filter_map(|spool| fs::metadata(spool).ok()).map(|spool| spool.size()).sum()
}

/// How many threads of a process run or could run.
fn runnable(process: &Running) -> usize {
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", process.pid().as_raw_nonzero())) else { return 0 };
    let states = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    states.filter(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('R'))).count()
}

#[test]
fn the_spool_fits_where_the_layers_do_and_is_gone_after_sigkill() {
    needs(&["unshare", "mount", "df"]);
    needs_root("mount a tmpfs");
    let scratch = scratch();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut layout, mut total) = (Layout::new(scratch.path().join("layout")), 0);
    for layer in 0..3 {
        let content: Vec<u8> = (0..1 << 20).map(|_| random.u8(..)).collect();
        let items = (0..6).map(|file| Item::new(format!("layer-{layer}/file-{file}"), What::File(content.clone())));
        let size;
        (layout, _, size) = add(layout, &scratch.path().join("tar"), Compression::Gzip, items);
        total += size.next_multiple_of(4096);
    }
    let layout = layout.finish();
    let (manifest, room) = (scratch.path().join("manifest"), scratch.path().join("room"));
    Filter::oci_fetch().arg(format!("oci:{}", layout.display())).stdout_file(&manifest).run().succeeds();
    fs::create_dir(&room).unwrap();
    // A file system of just that size holds it; the reader that does not read makes the filter hold all of it.
    let script = "
        mount -t tmpfs -o size=\"$2\" none \"$1\" || exit 90
        used() { df --output=used \"$1\" | tail -n 1 | tr -d ' '; }
        { oci-flatten --tmpdir \"$1\" \"$0\" & echo $! >\"$1.pid\"; wait $!; echo $? >\"$1.status\"; } | {
            for moment in $(seq 600); do
                [ $(($(used \"$1\") * 1024 * 4)) -ge $(($2 * 3)) ] && break
                [ -e \"$1.status\" ] && exit 91
                sleep 0.05
            done
            [ -z \"$(ls -A \"$1\")\" ] || exit 92
            kill -KILL $(cat \"$1.pid\")
            while ! [ -e \"$1.status\" ]; do sleep 0.05; done
            [ $(cat \"$1.status\") -eq 137 ] || exit 93
            [ $(used \"$1\") -eq 0 ] || exit 94
        } || exit $?
        oci-flatten --tmpdir \"$1\" \"$0\" >/dev/null || exit 95
        [ $(used \"$1\") -eq 0 ] || exit 96";
    let script = format!("exec unshare -m sh -c '{}' \"$0\" \"$1\" \"$2\"", script.replace('\'', "'\\''"));
    shell(&script).arg(&manifest).arg(&room).arg(total.to_string()).run().succeeds();
}

#[test]
#[ignore = "check-full: a million entries"]
fn a_million_entries_take_300_bytes_each() {
    needs(&["tar"]);
    const ENTRIES: u64 = 1_000_000;
    let scratch = scratch();
    let tar = scratch.path().join("tar");
    // Most names in a thousand directories, a fifth in one; each with a label, as SELinux has it.
    let file = |number: u64| {
        let directory = if number % 5 == 0 { 0 } else { number % 1000 };
        let mut item = Item::new(format!("data/dir-{directory:03}/file-{number:07}.txt"), What::File(Vec::new()));
        item.mtime = (1_600_000_000 + number as i64, number as u32 % 1_000_000_000);
        item.xattrs.push((b"security.selinux".to_vec(), b"system_u:object_r:usr_t:s0\0".to_vec()));
        item
    };
    let layout = Layout::new(scratch.path().join("layout"));
    let (layout, low, _) = add(layout, &tar, Compression::Zstd, (0..700_000).map(file));
    // The upper layer has the rest, and replaces and hides some.
    let hidden =
        (0..1000).map(|n| Item::new(format!("data/dir-{:03}/.wh.file-{n:07}.txt", n % 5), What::File(Vec::new())));
    let again = (600_000..ENTRIES).map(file);
    let (layout, high, _) = add(layout, &tar, Compression::Zstd, hidden.chain(again));
    let layout = layout.finish();

    let peaks = PeakMemory::new(scratch.path());
    let count = scratch.path().join("count");
    let script = format!(
        "oci-fetch -q \"oci:$0\" | {} oci-flatten | tar -t 2>\"$1.err\" | wc -l >\"$1\"; cat \"$1.err\" >&2",
        peaks.of("flatten")
    );
    shell(&script).arg(&layout).arg(&count).run().succeeds().quiet();
    let members: u64 = fs::read_to_string(&count).unwrap().trim().parse().unwrap();
    assert!((ENTRIES..ENTRIES + 1100).contains(&members), "{members} members");
    let peak = peaks.kib("flatten") * 1024;
    println!("{} MiB, {} bytes an entry", peak >> 20, peak.saturating_sub(CONSTANT + low + high) / ENTRIES);
    let allowed = CONSTANT + low + high + ENTRIES * PER_ENTRY;
    assert!(peak <= allowed, "{peak} bytes, {allowed} are allowed");
}

#[test]
#[ignore = "check-full: an image of 1.5 GB"]
fn a_large_image_keeps_all_processors_busy_and_memory_and_spool_in_bounds() {
    const LAYERS: u64 = 5;
    const FILES: u64 = 13_000;
    let scratch = scratch();
    let (tar, room) = (scratch.path().join("tar"), scratch.path().join("room"));
    fs::create_dir(&room).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    // Neither all noise nor all pattern, so that compressors find something.
    let pool: Vec<u8> =
        (0..4 << 20).map(|at| if at & 0x100 == 0 { random.u8(..) } else { random.u8(b'a'..b'e') }).collect();
    let mut layout = Layout::new(scratch.path().join("layout"));
    let (mut names, mut total) = (0, 0);
    for layer in 0..LAYERS {
        let files = (0..FILES).map(|number| {
            // 23 KiB on average, from nothing to a megabyte.
            let size = if number % 100 == 0 { 1 << 20 } else { random.usize(..28_000) };
            let at = random.usize(..pool.len() - size);
            let name = format!("layer-{layer}/dir-{:02}/file-{number:05}", number % 97);
            Item::new(name, What::File(pool[at..at + size].to_vec()))
        });
        let how = if layer % 2 == 0 { Compression::Gzip } else { Compression::Zstd };
        let (added, size);
        (layout, added, size) = add(layout, &tar, how, files);
        names += added;
        total += size;
    }
    assert!(total > 1_500_000_000, "{total} bytes are no 1.5 GB");
    let layout = layout.finish();
    let manifest = scratch.path().join("manifest");
    Filter::oci_fetch().arg(format!("oci:{}", layout.display())).stdout_file(&manifest).run().succeeds();

    let start = || {
        let out = scratch.path().join("out");
        let flatten = Filter::oci_flatten().arg("--tmpdir").arg(&room).arg(&manifest).stdout_file(&out).spawn();
        (flatten, out)
    };
    // Killed in the middle: nothing is left, for nothing had a name.
    let (flatten, _) = start();
    wait_until(|| spooled(&flatten, &room) > total / 4);
    assert_eq!(fs::read_dir(&room).unwrap().count(), 0, "the spool has a name");
    flatten.signal(rustix::process::Signal::KILL);
    assert!(!flatten.wait().status.success());
    assert_eq!(fs::read_dir(&room).unwrap().count(), 0, "something outlived SIGKILL");

    let (flatten, out) = start();
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(LAYERS as usize);
    let (mut most, mut peak, mut samples, mut busy) = (0, 0, 0, 0);
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |stat| stat.size());
    while let Some(memory) = peak_memory(&flatten) {
        peak = peak.max(memory);
        most = most.max(spooled(&flatten, &room));
        // While layers are decoded, and not in the tail when the last one alone is left.
        if size(&out) == 0 && (total / 20..total * 4 / 5).contains(&spooled(&flatten, &room)) {
            samples += 1;
            busy += usize::from(runnable(&flatten) >= processors);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    flatten.wait().succeeds().quiet();
    let written = size(&out);
    println!(
        "{} MiB of memory, at most {} MiB of {} MiB spooled, all processors wanted in {busy} of {samples} samples",
        peak >> 20,
        most >> 20,
        total >> 20,
    );
    assert!(written > 1_500_000_000, "{written} bytes written");
    assert!(most <= total, "{most} bytes spooled for {total} bytes of layers");
    let allowed = CONSTANT + names + LAYERS * FILES * PER_ENTRY;
    assert!(peak <= allowed, "{peak} bytes of memory, {allowed} are allowed");
    assert!(samples > 20, "decoding was hardly seen: {samples} samples");
    assert!(busy * 10 >= samples * 8, "threads for {processors} processors in {busy} of {samples} samples only");
}

/// The most memory that a process had so far, in bytes; `None` when it has ended.
fn peak_memory(process: &Running) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid().as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Waits for what takes a moment, on a busy machine some more.
fn wait_until(mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(300), "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
