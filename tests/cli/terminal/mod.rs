//! What the filters show on a terminal that they share (S7): one line, by one of them at a time, and every message whole.

mod pty;
mod screen;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::registry::{Image, Layer, Puller, Registry, Reply, any, docker_archive, get, oci_layout};
use crate::support::script::{Item, What};
use crate::support::stack;
use crate::support::{Tmpfs, e2fsck_clean, needs, needs_root, scratch};
use pty::Pty;
use screen::Screen;

const ALL: [&str; 3] = ["oci-fetch", "oci-flatten", "tar2ext4"];

const FETCH: &str = "oci-fetch --retries 1 --timeout 20 -d \"$0/store\" \"$1\"";

/// The bytes of standard input, those after the first 32 KiB later.
const SLOWLY: &str = "{ dd bs=4096 count=8 iflag=fullblock status=none; sleep 0.9; cat; }";

/// A registry with this image, which it sends 20 kB each 50 ms.
fn slow(image: &Image) -> Registry {
    changed(image, |reply| reply.slow(20_000, Duration::from_millis(50)))
}

/// A registry with this image, whose blobs it sends like this.
fn changed(image: &Image, change: impl Fn(Reply) -> Reply + Send + 'static) -> Registry {
    let registry = Registry::start();
    registry.push("demo", "latest", image);
    registry.when(any("/blobs/"), change);
    registry
}

fn file(name: &str, content: Vec<u8>) -> Item {
    Item { name: name.into(), what: What::File(content), mode: 0o644, owner: (0, 0), mtime: (0, 0), xattrs: Vec::new() }
}

/// A layer that takes a while to decode: a few kilobytes of zeros upon zeros.
fn dense() -> Layer {
    Layer::gzip(&stack::tar(&[file("zeros", vec![0; 512 << 20])]))
}

/// A tar of one file of zeros, which takes no room and is read for a while.
fn sparse_tar(path: &Path, size: u64) {
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(512 + size + 1024).unwrap();
}

/// A layer with a member of a type that nobody knows, for a warning.
fn odd() -> Layer {
    let mut bytes = stack::tar(&[file("odd", Vec::new())]);
    bytes[156] = b'~';
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Layer::gzip(&bytes)
}

/// Runs a script with the puller's directory as `$0`.
fn run(columns: u16, script: &str, puller: &Puller, rest: &[&Path]) -> pty::Session {
    let script = format!(
        "export HOME=\"$0/home\" CONTAINERS_REGISTRIES_CONF=\"$0/registries.conf\" XDG_RUNTIME_DIR=\"$0/run\"; {script}"
    );
    let home = puller.path("");
    Pty::new(columns).run(&script, &[&[&*home], rest].concat())
}

/// One filter after the other drew: never two at the same time.
#[track_caller]
fn in_turn(screen: &Screen, tools: &[&str]) {
    let mut before = None;
    for tool in tools {
        let Some((first, last)) = screen.drawings(tool) else { panic!("{tool} drew nothing\n{}", screen.text()) };
        assert!(before.is_none_or(|before| before < first), "{tool} drew too early\n{}", screen.text());
        before = Some(last);
    }
    let is_known = |line: &str| ALL.iter().any(|tool| line.starts_with(&format!("{tool}: ")));
    let stranger = screen.drawn.iter().find(|(line, _)| !is_known(line));
    assert!(stranger.is_none(), "who drew this? {stranger:?}\n{}", screen.text());
    // All of them say how fast it goes.
    let slow = screen.drawn.iter().find(|(line, width)| *width >= 40 && !line.contains("B/s"));
    assert!(slow.is_none(), "no rate: {slow:?}");
}

/// The error is the last thing on the screen, and nothing of the progress is left on it.
#[track_caller]
fn ends_with(screen: &Screen, tool: &str, text: &str) {
    let lines = screen.lines();
    let last = lines.last().map(String::as_str).unwrap_or_default();
    assert!(last.starts_with(&format!("{tool}: ")) && last.contains(text), "no {text:?}\n{}", screen.text());
    assert_messages_alone(screen);
}

#[track_caller]
fn assert_messages_alone(screen: &Screen) {
    for line in screen.lines() {
        let is_message = ALL.iter().any(|tool| line.starts_with(&format!("{tool}: ")));
        assert!(is_message && !line.contains("ETA") && !line.contains("B/s"), "{line:?}\n{}", screen.text());
    }
}

#[test]
fn of_a_pipeline_one_filter_draws_at_a_time() {
    let image = Image::of([Layer::noise(1, 300_000), Layer::noise(2, 200_000)]);
    let extra = stack::tar(&[file("extra", vec![b'x'; 200_000])]);
    for columns in [80, 40, 60] {
        let registry = slow(&image);
        let puller = Puller::new();
        puller.file("extra.tar", &extra);
        let script = format!(
            "mkfifo \"$0/fifo\"; {{ sleep 2; cat; }} <\"$0/extra.tar\" >\"$0/fifo\" & \
             {FETCH} | oci-flatten -l \"$0/fifo\" | {SLOWLY} | tar2ext4 -o \"$0/image\""
        );
        let (screen, succeeded) = run(columns, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
        assert!(succeeded && screen.lines().is_empty(), "{}", screen.text());
        in_turn(&screen, &ALL);
        let fetch = screen.drawn.iter().rfind(|(line, _)| line.starts_with("oci-fetch: "));
        assert!(fetch.is_some_and(|(line, _)| line.contains("ETA")), "{}", screen.text());
        e2fsck_clean(puller.path("image"));
    }
}

/// Rows that are too narrow for a line, and a terminal that becomes narrower.
#[test]
fn the_width_is_asked_again() {
    let image = Image::of([Layer::noise(1, 900_000)]);
    let registry = slow(&image);
    let puller = Puller::new();
    let mut session = run(80, &format!("{FETCH} | cat"), &puller, &[Path::new(&registry.name("demo"))]);
    session.until("drawn at 80", |screen| screen.drawn.iter().any(|(line, _)| line.len() > 40));
    session.narrow(12);
    session.until("drawn at 12", |screen| screen.drawn.iter().any(|(line, width)| *width == 12 && line.contains('%')));
    session.narrow(1);
    let (screen, succeeded) = session.end();
    assert!(succeeded && screen.lines().len() <= 2, "{}", screen.text());
}

#[test]
fn what_is_cached_or_local_shows_progress_too() {
    let image = Image::of([dense()]);
    let scratch = scratch();
    let layout = scratch.path().join("layout");
    oci_layout(&layout, &[("demo", &image)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let puller = Puller::new();
    puller.file("archive", docker_archive(&[(&["demo:latest"], &Image::of([Layer::noise(1, 200_000)]))]));
    let name = registry.name("demo");
    let rest = format!("oci-flatten | {SLOWLY} | tar2ext4 -o \"$0/image\"");
    let shown = |script: &str, arg: &Path, tools: &[&str]| {
        let (screen, succeeded) = run(80, script, &puller, &[arg]).end();
        assert!(succeeded && screen.lines().is_empty(), "{script}\n{}", screen.text());
        for tool in tools {
            assert!(screen.drawings(tool).is_some(), "{script}: {tool} drew nothing\n{}", screen.text());
        }
    };
    let both = ["oci-flatten", "tar2ext4"];
    shown(&format!("oci-fetch -d \"$0/store\" oci:\"$1\" | {rest}"), &layout, &both);
    puller.pull(&name).run().gets(&image);
    shown(&format!("{FETCH} | {rest}"), Path::new(&name), &both);
    shown(&format!("{FETCH} --offline | {rest}"), Path::new(&name), &both);
    let archive = format!("{SLOWLY} <\"$0/archive\" | oci-fetch -d \"$0/store\" \"$1\" | {rest}");
    shown(&archive, Path::new("-"), &["oci-fetch"]);

    // A directory of overlay2, a tar that is stacked, and a tar alone.
    let layers = scratch.path().join("overlay2");
    fs::create_dir_all(layers.join("top/diff")).unwrap();
    fs::write(layers.join("top/diff/file"), vec![7; 256 << 20]).unwrap();
    shown(&format!("oci-fetch overlay2:\"$1\" | {rest}"), &layers.join("top"), &["tar2ext4"]);
    let blob = layout.join("blobs").join(image.layers[0].digest.replace(':', "/"));
    shown(&format!("{SLOWLY} <\"$1\" | oci-flatten -n -l - | {SLOWLY} | tar2ext4 -o \"$0/image\""), &blob, &both);
    let sparse = scratch.path().join("sparse.tar");
    sparse_tar(&sparse, 3 << 30);
    shown("tar2ext4 -o \"$0/image\" \"$1\"", &sparse, &["tar2ext4"]);
}

/// Behind oci-flatten may be anything, which draws nothing.
#[test]
fn oci_flatten_draws_what_it_writes_when_nobody_behind_it_draws() {
    let puller = Puller::new();
    puller.file("layer", stack::tar(&[file("f", vec![1; 8 << 20])]));
    let script = "oci-flatten -n -l \"$0/layer\" | { sleep 2; cat; } >/dev/null";
    let (screen, succeeded) = run(80, script, &puller, &[]).end();
    assert!(succeeded && screen.lines().is_empty(), "{}", screen.text());
    in_turn(&screen, &["oci-flatten"]);
    assert!(screen.drawn.iter().any(|(line, _)| line.starts_with("oci-flatten: writing ")), "{}", screen.text());
    assert!(screen.drawn.len() < 8, "it draws at once\n{}", screen.text());
}

#[test]
fn a_warning_stays_while_another_filter_draws() {
    let image = Image::of([odd(), Layer::noise(1, 400_000)]);
    for columns in [80, 40] {
        let registry = slow(&image);
        let puller = Puller::new();
        let script = format!("{FETCH} | RUST_LOG=info oci-flatten | tar2ext4 -o \"$0/image\"");
        let (screen, succeeded) = run(columns, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
        assert!(succeeded, "{}", screen.text());
        assert_messages_alone(&screen);
        let lines = screen.lines();
        assert!(lines.iter().any(|line| line.starts_with("oci-flatten: warning: ")), "{}", screen.text());
        assert!(lines.iter().filter(|line| line.contains("entries read in")).count() == 2, "{}", screen.text());
        assert!(screen.drawings("oci-fetch").is_some(), "{}", screen.text());
    }
}

#[test]
fn a_full_disk_is_the_last_thing_on_the_screen() {
    let image = Image::of([Layer::noise(1, 600_000), Layer::noise(2, 6_000_000)]);
    for columns in [80, 40] {
        let registry = Registry::start();
        registry.push("demo", "latest", &image);
        registry.when(get(&*image.layers[0].digest), |reply| reply.slow(40_000, Duration::from_millis(50)));
        let puller = Puller::new();
        let target = puller.path("target");
        fs::create_dir(&target).unwrap();
        let _disk = Tmpfs::at(&target, "size=1m");
        let script = format!("{FETCH} | oci-flatten | {SLOWLY} | tar2ext4 -o \"$0/target/image\"");
        let (screen, succeeded) = run(columns, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
        assert!(!succeeded);
        // Whether oci-flatten has anything left to show depends on the machine.
        in_turn(&screen, &["oci-fetch", "tar2ext4"]);
        ends_with(&screen, "tar2ext4", "No space left");
        assert_eq!(screen.lines().len(), 1, "{}", screen.text());
    }
}

/// oci-flatten fails while oci-fetch draws, which then has nobody to fetch for.
#[test]
fn a_bad_layer_is_the_last_thing_on_the_screen() {
    let mut bad = Layer::file("a", "b");
    bad.diff_id = format!("sha256:{:064}", 0);
    let image = Image::of([bad, Layer::noise(1, 4_000_000)]);
    for columns in [80, 40] {
        let registry = slow(&image);
        let puller = Puller::new();
        let script = format!("{FETCH} | oci-flatten | cat >/dev/null");
        let start = Instant::now();
        let (screen, _) = run(columns, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
        assert!(start.elapsed() < Duration::from_secs(8), "it fetched on\n{}", screen.text());
        ends_with(&screen, "oci-flatten", "diffId");
        assert_eq!(screen.lines().len(), 1, "{}", screen.text());
    }
}

/// All three fail, the last one last.
#[test]
fn a_registry_that_dies_is_told_by_all() {
    let image = Image::of([Layer::noise(1, 300_000)]);
    for columns in [80, 40] {
        let registry = changed(&image, |reply| reply.cut_at(200_000).slow(20_000, Duration::from_millis(80)));
        let puller = Puller::new();
        let script = format!("{FETCH} | oci-flatten | tar2ext4 -o \"$0/image\"").replace("retries 1", "retries 0");
        let (screen, succeeded) = run(columns, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
        assert!(!succeeded);
        in_turn(&screen, &["oci-fetch"]);
        assert_messages_alone(&screen);
        let lines = screen.lines();
        assert!(ALL.iter().all(|tool| lines.iter().any(|line| line.starts_with(tool))), "{}", screen.text());
        assert!(
            lines.iter().any(|line| line.starts_with("oci-fetch: ") && line.contains("layer 0")),
            "{}",
            screen.text()
        );
        assert_eq!(lines.len(), 3, "{}", screen.text());
    }
}

/// The last filter goes at once; the others notice within a second, whatever they are waiting for, and leave the screen
/// to its message.
#[test]
fn a_failure_at_the_end_stops_the_beginning() {
    let image = Image::of([Layer::noise(1, 400_000)]);
    let registry = changed(&image, |reply| reply.stall_at(100_000).slow(20_000, Duration::from_millis(100)));
    let puller = Puller::new();
    let script = format!("{FETCH} | oci-flatten | {{ sleep 1; tar2ext4 -o \"$0/no/image\"; }}");
    let start = Instant::now();
    let (screen, succeeded) = run(80, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
    assert!(!succeeded && start.elapsed() < Duration::from_secs(5), "{:?}\n{}", start.elapsed(), screen.text());
    in_turn(&screen, &["oci-fetch"]);
    ends_with(&screen, "tar2ext4", "does not exist");
    assert_eq!(screen.lines().len(), 1, "{}", screen.text());
}

/// The download stalls, its line is drawn, and the reader is killed.
#[test]
fn a_reader_that_is_killed_ends_a_stalled_download() {
    let image = Image::of([Layer::noise(1, 400_000)]);
    let registry = changed(&image, |reply| reply.stall_at(100_000).slow(20_000, Duration::from_millis(50)));
    let puller = Puller::new();
    let script = format!("{FETCH} | (sh -c 'echo $$ >\"$0/pid\"; exec sleep 30' \"$0\"; :) 2>/dev/null");
    let mut session = run(80, &script, &puller, &[Path::new(&registry.name("demo"))]);
    session.until("a stall", |screen| screen.drawn.len() > 12);
    let pid: i32 = fs::read_to_string(puller.path("pid")).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let start = Instant::now();
    let (screen, _) = session.end();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(screen.lines().is_empty(), "{}", screen.text());
}

/// Without the terminal's device file nobody knows who else draws: the first of a pipeline does.
#[test]
fn without_a_device_file_the_first_filter_draws() {
    needs_root("hide /dev/pts");
    needs(&["unshare"]);
    let image = Image::of([Layer::noise(1, 300_000)]);
    let registry = slow(&image);
    let puller = Puller::new();
    let pipeline =
        format!("mount -t tmpfs none /dev/pts && {FETCH} | oci-flatten | {SLOWLY} | tar2ext4 -o \"$0/image\"");
    let script = format!("exec unshare --mount sh -c '{pipeline}' \"$0\" \"$1\"");
    let (screen, succeeded) = run(80, &script, &puller, &[Path::new(&registry.name("demo"))]).end();
    assert!(succeeded && screen.lines().is_empty(), "{}", screen.text());
    in_turn(&screen, &["oci-fetch"]);
    assert!(screen.drawings("oci-flatten").is_none() && screen.drawings("tar2ext4").is_none(), "{}", screen.text());
}

/// `plain` is for logs: lines as the work goes on, and nothing that drives a terminal, even on one.
#[test]
fn plain_lines_come_now_and_then() {
    let image = Image::of([Layer::noise(1, 400_000)]);
    let registry = changed(&image, |reply| reply.slow(5_000, Duration::from_millis(90)));
    let puller = Puller::new();
    let name = registry.name("demo");
    let script = FETCH.replace("oci-fetch", "oci-fetch --progress plain");
    let (screen, succeeded) = run(40, &script, &puller, &[Path::new(&name)]).end();
    assert!(succeeded && screen.drawn.is_empty(), "{}", screen.text());
    let lines = screen.lines();
    assert!(lines.iter().any(|line| line.contains("KiB of") && line.contains("ETA")), "{}", screen.text());
    assert!(lines.iter().any(|line| line.contains("layer 0") && line.contains("bytes in")), "{}", screen.text());
}

/// `-q`, `none` and a terminal that can do nothing: no line.
#[test]
fn who_wants_no_progress_sees_none() {
    let image = Image::of([Layer::noise(1, 300_000)]);
    let registry = slow(&image);
    let name = registry.name("demo");
    for change in [
        ("oci-fetch", "oci-fetch -q"),
        ("oci-fetch", "oci-fetch --progress none"),
        ("oci-fetch", "TERM=dumb oci-fetch"),
    ] {
        let puller = Puller::new();
        let (screen, succeeded) = run(80, &FETCH.replace(change.0, change.1), &puller, &[Path::new(&name)]).end();
        assert!(succeeded && screen.drawn.is_empty() && screen.lines().is_empty(), "{}", screen.text());
    }
    // Where stderr is no terminal there is nothing to draw on.
    let puller = Puller::new();
    puller.pull(&name).run().quietly();
}
