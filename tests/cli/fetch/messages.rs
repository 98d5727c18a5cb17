//! What is said while pulling: nothing, lines, bars; never more than was asked for (S4, S7).

use super::one;
use crate::support::registry::{Puller, Reply, any, get};
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
fn an_error_after_bars_stands_on_a_line_of_its_own() {
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
fn a_terminated_pull_does_not_succeed() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP] {
        let (image, registry, puller) = one();
        registry.when(get(&*image.layers[0].digest).once(), |reply| reply.stall_at(10_000));
        let running = puller.pull(registry.name("demo")).timeout(60).spawn();
        while registry.asked(any(&*image.layers[0].digest)).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        running.signal(signal);
        let ran = running.wait();
        assert!(!ran.status.success() && !ran.text().contains("\"end\""), "{}", ran.report());
        registry.heal();
        puller.pull(registry.name("demo")).run().gets(&image);
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
