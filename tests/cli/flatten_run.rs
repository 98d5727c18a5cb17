//! How `oci-flatten` runs: beside `oci-fetch`, into pipes and files, killed, out of space, and what it costs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::script::{Item, What};
use crate::support::stack::{self, Manifest};
use crate::support::{Compression, Filter, PeakMemory, assert_bytes, needs, scratch, shell, tool};

/// How long something that takes a moment may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn file(name: &str, content: &[u8]) -> Item {
    Item::new(name, What::File(content.to_vec()))
}

/// A layer of 6 MiB that compresses badly, with one file and one directory.
fn noise(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let content: Vec<u8> = (0..6 << 20).map(|_| random.u8(..)).collect();
    stack::tar(&[file(&format!("noise-{seed}"), &content)])
}

fn manifest(dir: &Path, layers: u64) -> (Manifest, u64) {
    let mut manifest = Manifest::default();
    let mut size = 0;
    for seed in 0..layers {
        let tar = noise(seed);
        size += tar.len() as u64;
        let blob = stack::compress(&tar, Compression::Gzip);
        manifest.blob(dir.join(format!("layer-{seed}")), &blob, &tar, json!({}));
    }
    (manifest, size)
}

#[test]
fn a_layer_is_decoded_while_the_manifest_is_still_written_and_nothing_outlives_a_kill() {
    let scratch = scratch();
    let (manifest, size) = manifest(scratch.path(), 2);
    let tmpdir = scratch.path().join("tmp");
    fs::create_dir(&tmpdir).unwrap();
    let text = manifest.text();
    let lines: Vec<&str> = text.lines().collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_oci-flatten"))
        .args(["-v", "--tmpdir"])
        .arg(&tmpdir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}\n{}", lines[0], lines[1]).unwrap();
    // The second layer is not there yet, the manifest goes on, and the first is read all the same.
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("layer 0") && said.contains("1 entries read"), "{said}");

    let spools: Vec<u64> = fs::read_dir(format!("/proc/{}/fd", child.id()))
        .unwrap()
        .filter_map(|fd| {
            let fd = fd.unwrap().path();
            let target = fs::read_link(&fd).ok()?;
            target.starts_with(&tmpdir).then(|| fs::metadata(&fd).unwrap().size())
        })
        .collect();
    assert!(!spools.is_empty(), "the layer was not spooled in --tmpdir");
    let spooled: u64 = spools.iter().sum();
    assert!(spooled <= size / 2, "{spooled} bytes spooled for {} of tar", size / 2);
    assert_eq!(fs::read_dir(&tmpdir).unwrap().count(), 0, "the spool has a name");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(&tmpdir).unwrap().count(), 0, "something outlived SIGKILL");
}

#[test]
fn a_manifest_cut_anywhere_is_an_error_and_leaves_no_whole_tar() {
    let scratch = scratch();
    let mut manifest = Manifest::default();
    for number in 0..2 {
        let tar = stack::tar(&[file(&format!("f{number}"), b"x")]);
        let blob = stack::compress(&tar, Compression::Gzip);
        manifest.blob(scratch.path().join(number.to_string()), &blob, &tar, json!({}));
    }
    let text = manifest.text();
    for len in (0..text.len() - 1).step_by(37).chain(text.match_indices('\n').map(|(at, _)| at)) {
        if len == text.len() - 1 {
            continue; // only the last line break is missing
        }
        let ran = Filter::oci_flatten().stdin(&text[..len]).run().fails_with(1, "manifest").one_line();
        assert!(ran.stdout.is_empty(), "cut at {len}: wrote {} bytes", ran.stdout.len());
    }
}

#[test]
fn pipes_files_appending_and_a_writer_get_the_same_bytes() {
    let scratch = scratch();
    let (manifest, _) = manifest(scratch.path(), 2);
    let manifest_file = scratch.path().join("manifest");
    fs::write(&manifest_file, manifest.text()).unwrap();
    let piped = Filter::oci_flatten().stdin_file(&manifest_file).run().succeeds().quiet().stdout;
    assert!(piped.len() > 12 << 20 && piped.ends_with(&[0; 1024]));

    let out = scratch.path().join("out");
    Filter::oci_flatten().arg(&manifest_file).stdout_file(&out).run().succeeds();
    assert_bytes("into a file", &piped, &fs::read(&out).unwrap());
    // sendfile(2) refuses a file opened for appending.
    let script = "oci-flatten \"$0\" >> \"$1\"";
    fs::write(&out, b"").unwrap();
    shell(script).arg(&manifest_file).arg(&out).run().succeeds().quiet();
    assert_bytes("appended to a file", &piped, &fs::read(&out).unwrap());

    let options = oci2ext4::flatten::Options::default();
    let manifest = BufReader::new(File::open(&manifest_file).unwrap());
    let mut written = Vec::new();
    oci2ext4::flatten::flatten(Some(manifest), &options).unwrap().write_to(&mut written).unwrap();
    assert_bytes("to a writer", &piped, &written);
}

#[test]
fn a_reader_that_leaves_is_answered_with_status_1_in_silence() {
    let scratch = scratch();
    let (manifest, _) = manifest(scratch.path(), 1);
    let manifest_file = scratch.path().join("manifest");
    fs::write(&manifest_file, manifest.text()).unwrap();
    let script = "{ oci-flatten \"$0\"; echo $? >&2; } | head -c 100000 > /dev/null";
    shell(script).arg(&manifest_file).run().succeeds().stderr_is("1\n");
}

#[test]
fn layers_given_as_pipes_are_read() {
    needs(&["bash", "tar"]);
    let scratch = scratch();
    fs::write(scratch.path().join("a"), "content").unwrap();
    let script =
        "exec bash -c 'oci-flatten -n -l <(tar -C \"$0\" -cf - a) -l <(tar -C \"$0\" -czf - a) | tar -tf -' \"$0\"";
    shell(script).arg(scratch.path()).run().succeeds().stdout_is("./\na\n");
}

#[test]
fn a_full_spool_is_said_and_leaves_nothing() {
    needs(&["unshare", "mount"]);
    let scratch = scratch();
    let (manifest, _) = manifest(scratch.path(), 2);
    let manifest_file = scratch.path().join("manifest");
    fs::write(&manifest_file, manifest.text()).unwrap();
    let small = scratch.path().join("small");
    fs::create_dir(&small).unwrap();
    let script = "mount -t tmpfs -o size=1M none \"$1\" || exit 99
        oci-flatten --tmpdir \"$1\" \"$0\"; status=$?
        [ -z \"$(ls -A \"$1\")\" ] || exit 98
        exit $status";
    let script = format!("exec unshare -m sh -c '{}' \"$0\" \"$1\"", script.replace('\'', "'\\''"));
    let ran = shell(&script).arg(&manifest_file).arg(&small).run().fails_with(1, "No space left").one_line();
    assert!(ran.stderr.contains("layer 0") && ran.stderr.contains("spool in"), "{}", ran.report());
    assert!(ran.stdout.is_empty());
}

/// Kilobytes of a compressed layer can be any number of zeros: before a member's end, behind the archive's, or nothing else.
#[test]
fn zeros_take_no_room_in_the_spool() {
    needs(&["unshare", "mount"]);
    let scratch = scratch();
    let many = vec![0; 48 << 20];
    let sparse = stack::tar(&[file("first", b"1"), file("zeros", &many), file("last", b"2")]);
    let padded = [&stack::tar(&[file("padded", b"3")])[..], &many].concat();
    let small = scratch.path().join("small");
    fs::create_dir(&small).unwrap();
    let memory = PeakMemory::new(scratch.path());
    let script =
        format!("mount -t tmpfs -o size=1M none \"$1\" && exec {} oci-flatten --tmpdir \"$1\" \"$0\"", memory.of("it"));
    let script = format!("exec unshare -m sh -c '{}' \"$0\" \"$1\"", script.replace('\'', "'\\''"));
    for (tar, len) in [(&sparse, 48 << 20), (&padded, 0), (&many, 0)] {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut manifest = Manifest::default();
            let blob = stack::compress(tar, compression);
            manifest.blob(scratch.path().join("layer"), &blob, tar, json!({}));
            fs::write(scratch.path().join("manifest"), manifest.text()).unwrap();
            let out = shell(&script).arg(scratch.path().join("manifest")).arg(&small).run().succeeds().quiet().stdout;
            assert!((len..len + 10_240).contains(&out.len()), "{} bytes", out.len());
            assert!(memory.kib("it") < 32 << 10, "{} KiB of memory", memory.kib("it"));
        }
    }
}

#[test]
fn the_lowest_layer_that_is_wrong_is_named() {
    let scratch = scratch();
    let (mut manifest, _) = manifest(scratch.path(), 1);
    let tar = stack::tar(&[file("a/../b", b"")]);
    let blob = stack::compress(&tar, Compression::Plain);
    for name in ["one", "two"] {
        manifest.blob(scratch.path().join(name), &blob, &tar, json!({}));
    }
    manifest.last()["path"] = scratch.path().join("missing").display().to_string().into();
    for _ in 0..5 {
        let ran = Filter::oci_flatten().stdin(manifest.text()).run().fails_with(1, "a/../b").one_line();
        assert!(ran.stderr.contains("layer 1 (sha256:"), "{}", ran.report());
    }
}

#[test]
fn a_lone_zero_block_ends_a_layer_with_a_warning() {
    let scratch = scratch();
    let end = [0; 1024];
    let layer = |tar: &[u8]| {
        let mut manifest = Manifest::default();
        manifest.blob(scratch.path().join("layer"), &stack::compress(tar, Compression::Gzip), tar, json!({}));
        Filter::oci_flatten().stdin(manifest.text()).run()
    };
    let (one, two) = (stack::tar_without_end(&[file("one", b"1")]), stack::tar_without_end(&[file("two", b"2")]));
    let expected = layer(&[&one[..], &end].concat()).succeeds().quiet().stdout;
    // As GNU tar has it; that the diffId is right says that nobody cut it.
    let alone = layer(&[&one[..], &end[..512]].concat()).succeeds().one_line().says("layer 0").says("lone zero block");
    assert_bytes("nothing behind it", &expected, &alone.stdout);
    let more = layer(&[&one[..], &end[..512], &two, &end].concat()).succeeds().one_line().says("lone zero block");
    assert_bytes("a member behind it", &expected, &more.stdout);
}

#[test]
fn memory_is_300_bytes_an_entry_at_most() {
    // Whatever a process takes before it has read anything, buffers of one layer included.
    const CONSTANT: u64 = 24 << 20;
    let scratch = scratch();
    let entries: u64 = 250_000;
    let tar = scratch.path().join("layer.tar");
    let mut out = std::io::BufWriter::new(File::create(&tar).unwrap());
    let mut names = 0;
    for number in 0..entries {
        // Half of them in one directory, half in a thousand.
        let dir = if number % 2 == 0 { 0 } else { number % 1000 };
        let name = format!("dir-{dir:03}/file-{number:07}");
        names += name.len() as u64;
        out.write_all(&stack::tar_without_end(&[file(&name, b"")])).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.into_inner().unwrap().sync_all().unwrap();
    let peaks = PeakMemory::new(scratch.path());
    let script = format!("{} oci-flatten -n -l \"$0\" -l \"$0\" > /dev/null", peaks.of("flatten"));
    shell(&script).arg(&tar).run().succeeds();
    let peak = peaks.kib("flatten") * 1024;
    let allowed = CONSTANT + 2 * names + entries * 300;
    println!("{} bytes an entry", peak.saturating_sub(CONSTANT + names) / entries);
    assert!(peak <= allowed, "{peak} bytes for {entries} entries, {allowed} are allowed");
}

/// Each layer comes through a pipe whose writer stops in the middle until all layers have come that far.
#[test]
fn layers_are_decoded_at_once_by_as_many_threads_as_asked_for() {
    const LAYERS: usize = 3;
    let scratch = scratch();
    let middle = Arc::new(Barrier::new(LAYERS));
    let mut flatten = Filter::oci_flatten().args(["--jobs", "3", "-n"]);
    let mut writers = Vec::new();
    for seed in 0..LAYERS {
        let path = scratch.path().join(format!("layer-{seed}"));
        tool("mkfifo", [&path]);
        flatten = flatten.arg("-l").arg(&path);
        let blob = stack::compress(&noise(seed as u64), Compression::Gzip);
        let middle = Arc::clone(&middle);
        writers.push(thread::spawn(move || {
            let mut pipe = File::options().write(true).open(path).unwrap();
            let (first, second) = blob.split_at(blob.len() / 2);
            pipe.write_all(first).unwrap();
            middle.wait();
            pipe.write_all(second).unwrap();
        }));
    }
    let running = flatten.stdout_file(scratch.path().join("out")).spawn();
    let tasks = format!("/proc/{}/task", running.pid().as_raw_nonzero());
    let (start, mut most) = (Instant::now(), 0);
    while !writers.iter().all(thread::JoinHandle::is_finished) {
        assert!(start.elapsed() < PATIENCE, "no layer gets past its middle: they are not decoded at once");
        most = most.max(fs::read_dir(&tasks).map_or(0, Iterator::count));
        thread::sleep(Duration::from_millis(5));
    }
    running.wait().succeeds();
    assert!(
        (LAYERS..=LAYERS + 2).contains(&most),
        "{most} threads: -j bounds them, beside the main one and the queue's"
    );
}

#[test]
fn deep_trees_and_many_links_are_no_special_case() {
    let scratch = scratch();
    let mut deep = Vec::new();
    let mut items = Vec::new();
    for _ in 0..2000 {
        deep.extend(b"d/");
        items.push(Item::new(deep.clone(), What::Dir));
    }
    let mut links: Vec<Item> =
        (0..20_000).map(|n| Item::new(format!("l{n:05}"), What::Link(format!("l{:05}", n + 1).into_bytes()))).collect();
    links.push(file("l20000", b"the end of the chain"));
    let path = scratch.path().join("layer");
    fs::write(&path, stack::tar(&[items, links].concat())).unwrap();
    let ran = Filter::oci_flatten().args(["-n", "-l"]).arg(&path).run().succeeds();
    let mut members = tar::Archive::new(&ran.stdout[..]);
    let mut content = String::new();
    let (mut files, mut hard) = (0, 0);
    for member in members.entries().unwrap() {
        let mut member = member.unwrap();
        hard += usize::from(member.header().entry_type().is_hard_link());
        if member.header().entry_type().is_file() {
            files += 1;
            member.read_to_string(&mut content).unwrap();
        }
    }
    assert_eq!((files, hard, &*content), (1, 20_000, "the end of the chain"));
}
