//! What is said while pulling: nothing, lines, bars; never more than was asked for (S4, S7).

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::one;
use crate::support::registry::{Puller, Reply, get, parts_in_flight};
use crate::support::{Filter, needs};

#[test]
fn without_a_terminal_a_good_pull_is_silent() {
    let (image, registry, puller) = one();
    puller.pull(registry.name("demo")).run().quietly().gets(&image);
}

#[test]
fn retries_are_told_in_the_log() {
    let (image, registry, puller) = one();
    registry.when(get("/blobs/").once(), |_| Reply::error(503, "UNAVAILABLE", "busy as a bee"));
    let pulled = puller.pull(registry.name("demo")).arg("-v").run().gets(&image);
    assert!(
        pulled.ran.stderr.contains("busy as a bee") || pulled.ran.stderr.contains("503"),
        "{}",
        pulled.ran.report()
    );
}

#[test]
fn an_error_after_progress_stands_on_a_line_of_its_own() {
    needs(&["script"]);
    let (_, registry, puller) = one();
    registry.when(get("/blobs/"), |_| Reply::error(403, "DENIED", "not today"));
    let line = format!(
        "'{}' --dir '{}' {} >/dev/null",
        env!("CARGO_BIN_EXE_oci-fetch"),
        puller.store().display(),
        registry.name("demo")
    );
    let ran = Filter::tool("script").args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").run();
    assert_eq!(ran.status.code(), Some(1));
    let last = ran.text().trim_end().rsplit(['\n', '\r']).next().unwrap().to_owned();
    let visible = last.rsplit('\u{1b}').next().unwrap();
    assert!(visible.contains("oci-fetch: ") && visible.contains("not today"), "{last:?}");
}

#[test]
fn a_terminated_pull_leaves_a_part_and_the_next_goes_on_from_it() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP] {
        let (image, registry, puller) = one();
        registry.when(get(&*image.layers[0].digest).once(), |reply| reply.stall_at(10_000));
        let running = puller.pull(registry.name("demo")).timeout(60).spawn();
        let since = Instant::now();
        // A part that became a blob in between has no length any more.
        let length = || {
            let parts = parts_in_flight(&puller.store());
            parts.first().and_then(|part| fs::metadata(part).ok()).map_or(0, |meta| meta.len())
        };
        // The config comes beside it, and is whole soon.
        while length() < 10_000 || parts_in_flight(&puller.store()).len() > 1 {
            assert!(since.elapsed() < Duration::from_secs(60), "nothing is on disk");
            thread::sleep(Duration::from_millis(10));
        }
        running.signal(signal);
        let ran = running.wait();
        assert!(!ran.status.success() && !ran.text().contains("\"end\""), "{}", ran.report());
        assert_eq!(
            (parts_in_flight(&puller.store()).len(), length()),
            (1, 10_000),
            "one part is left, and nothing else"
        );
        registry.heal();
        puller.pull(registry.name("demo")).run().quietly().gets(&image);
        let asked = registry.asked(get(&*image.layers[0].digest));
        let range = asked[1].header("Range").unwrap_or_default();
        assert!(range.starts_with("bytes=10000-"), "the next run started over: {range}");
        assert!(parts_in_flight(&puller.store()).is_empty());
    }
}

#[test]
fn wrong_usage_is_status_2_and_touches_nothing() {
    let puller = Puller::new();
    for args in
        [&["--jobs", "0"][..], &["--timeout", "0"], &["--nosuch"], &["second"], &["--cert", "x"], &["--username", "x"]]
    {
        drop(puller.pull("127.0.0.1:1/demo").args(args).run_bare().fails_with(2, ""));
    }
    drop(Filter::oci_fetch().run().fails_with(2, "IMAGE"));
    assert!(!puller.store().exists());
}
