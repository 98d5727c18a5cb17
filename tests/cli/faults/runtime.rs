//! The system refuses what the HTTP client's runtime takes for granted: it panics then, which ends a run as any failure
//! does (S4): status 1, one line, and no thread that waits for another which is gone.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::registry::{Image, Layer, Puller, Registry};
use crate::support::{Filter, needs};

/// Calls that wake a thread, wait for something to happen, or say what to wait for.
const CALLS: &[&str] = &["write", "epoll_wait", "epoll_pwait", "epoll_ctl", "eventfd2", "epoll_create1"];

/// Which of a thread's calls fail: some of the first, up to more than a thread of this run makes.
const NUMBERS: &[usize] = &[1, 2, 3, 5, 8, 13, 21, 34];

#[test]
fn a_runtime_that_panics_is_a_failure_in_one_line() {
    needs(&["strace"]);
    let image = Image::of([Layer::noise(1, 30_000), Layer::file("a", "b")]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let (mut panics, mut failures) = (0, 0);
    for call in CALLS {
        for number in NUMBERS {
            for every in ["", "+"] {
                let puller = Puller::new();
                let log = puller.path("log");
                let inject = format!("inject=?{call}:error=EPERM:when={number}{every}");
                let strace = Filter::tool("strace").args(["-f", "-qq", "-o"]).arg(&log).arg("-e").arg(&inject);
                let strace = strace.env("HOME", puller.home()).env("XDG_RUNTIME_DIR", puller.path("run"));
                let fetch = strace.arg(env!("CARGO_BIN_EXE_oci-fetch")).arg("-q").arg("-d").arg(puller.store());
                let begin = Instant::now();
                let ran = fetch.args(["--retries", "0", "--timeout", "5"]).arg(registry.name("demo")).run();
                let what = || format!("{inject}, {:?}\n{}", begin.elapsed(), ran.report());
                let hit = fs::read_to_string(&log).is_ok_and(|log| log.contains("(INJECTED)"));
                assert!(matches!(ran.status.code(), Some(0 | 1)), "{}", what());
                assert!(ran.stderr.lines().count() <= 1, "{}", what());
                assert!(begin.elapsed() < Duration::from_secs(60), "it hangs: {}", what());
                panics += usize::from(ran.stderr.contains("panicked"));
                failures += usize::from(ran.status.code() == Some(1));
                if !hit {
                    break;
                }
            }
        }
    }
    println!("{failures} failures, {panics} panics among them");
    assert!(panics > 0, "nothing panics any more: what is this test for?");
}
