//! Filters that are killed at random moments.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Counts, Scene, Source, random};
use crate::support::registry::get;

const FILTERS: [&str; 3] = ["oci-fetch", "oci-flatten", "tar2ext4"];
const SIGNALS: [(&str, Signal); 4] =
    [("SIGKILL", Signal::KILL), ("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGPIPE", Signal::PIPE)];

#[test]
fn killed_filters_lose_nothing() {
    kill_each(2);
}

#[test]
#[ignore = "check-full: minutes"]
fn killed_filters_lose_nothing_300_times() {
    kill_each(25);
}

/// Hits each filter `times` times with each signal, while it runs.
fn kill_each(times: u64) {
    let mut random = random("kills");
    let scene = Scene::new();
    // So slow that there is something to interrupt and to resume.
    scene.registry.when(get("/blobs/"), |reply| reply.slow(16 << 10, Duration::from_millis(4)));
    let usual = Source::ALL.map(|source| duration(&scene, source));
    let (mut counts, mut late, mut unimpressed, mut resumed) = (Counts::default(), 0, 0, 0);
    for (filter, name) in FILTERS.into_iter().enumerate() {
        for (signal_name, signal) in SIGNALS {
            let (mut hits, mut attempts) = (0, 0);
            while hits < times {
                attempts += 1;
                assert!(attempts < 20 * times + 100, "{name} is always done before {signal_name} comes");
                // What oci-fetch does with files is done soon.
                let files = random.usize(..4) > if filter == 0 { 2 } else { 0 };
                let which = if files { random.usize(1..Source::ALL.len()) } else { 0 };
                let moment = usual[which].mul_f64(random.f64());
                let (source, place) = (Source::ALL[which], scene.place().caching(random.bool()));
                let mut pipeline = scene.spawn(source, &place);
                std::thread::sleep(moment);
                let sent = pipeline.signal(filter, signal);
                let outcome = pipeline.wait();
                let lost = scene.survives(&outcome, &place, Some(filter));
                // A filter looks at what it writes to (S3): without a pipe that broke the signal is nothing to it, once it
                // has come so far as to say so to the kernel.
                let ignored = signal == Signal::PIPE && sent && !lost;
                hits += u64::from(lost || ignored);
                if lost {
                    counts.add(format!("{name} by {signal_name}"));
                    let partial = super::scene::names(&place.store.join("partial"));
                    resumed += u64::from(partial.iter().any(|name| name.starts_with("sha256.")));
                    scene.second_run_succeeds(source, &place);
                } else if ignored {
                    unimpressed += 1;
                } else {
                    late += 1;
                }
                scene.clear(&place);
            }
        }
    }
    println!(
        "kills: {counts} {unimpressed} SIGPIPE did nothing; {late} came too late; {resumed} second runs could resume"
    );
}

/// How long a run without a fault takes: the median of three.
fn duration(scene: &Scene, source: Source) -> Duration {
    let mut durations = [0; 3].map(|_| {
        let place = scene.place();
        let start = Instant::now();
        let outcome = scene.spawn(source, &place).wait();
        let taken = start.elapsed();
        assert!(outcome.last().success(), "{}", outcome.report());
        scene.clear(&place);
        taken
    });
    durations.sort();
    durations[1]
}
