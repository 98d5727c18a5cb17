//! Registries that misbehave in the middle of a layer which oci-flatten is reading meanwhile (M4): the right image, or an
//! error and the old target.

use std::time::Duration;

use super::{Counts, Pipeline, Scene, Source, random};
use crate::support::registry::{Ranges, Reply, get};

#[test]
fn a_registry_that_misbehaves_spoils_no_image() {
    misbehave(20);
}

#[test]
#[ignore = "check-full: minutes"]
fn a_registry_that_misbehaves_spoils_no_image_200_times() {
    misbehave(200);
}

/// What becomes of a reply at a place in a layer of so many bytes.
type Fault = fn(Reply, usize, usize) -> Reply;

const FAULTS: [(&str, Fault); 6] = [
    ("drops", |reply, at, _| reply.cut_at(at as u64)),
    ("stalls", |reply, at, _| reply.stall_at(at as u64)),
    ("lies", |reply, at, whole| reply.flipped(at.min(whole - 1))),
    ("ends early", |reply, at, _| reply.short(at as u64)),
    ("goes on", |reply, at, _| reply.long(at)),
    ("refuses", |_, _, _| Reply::error(503, "UNAVAILABLE", "restarting")),
];

/// So many runs without a cache, and as many with one.
fn misbehave(times: u64) {
    let mut random = random("misbehaving registries");
    let scene = Scene::new();
    let (mut counts, mut right, mut errors) = (Counts::default(), 0, 0);
    for run in 0..2 * times {
        // So slow that there is something to read along.
        let slow = |reply: Reply| reply.slow(64 << 10, Duration::from_millis(5));
        let ranges = [Ranges::Honoured, Ranges::Honoured, Ranges::Ignored, Ranges::Refused];
        scene.registry.ranges(ranges[random.usize(..ranges.len())]);
        for _ in 0..random.usize(1..4) {
            let layer = &scene.image.layers[random.usize(..scene.image.layers.len())];
            let (name, fault) = FAULTS[random.usize(..FAULTS.len())];
            let (at, whole) = (random.usize(..layer.bytes.len()), layer.bytes.len());
            let times = if random.usize(..4) == 0 { usize::MAX } else { random.usize(1..4) };
            let when = get(&*layer.digest).after(random.usize(..2)).times(times);
            // A later request may ask for less than that.
            scene.registry.when(when, move |reply| match reply.len() {
                len if len > at as u64 => fault(slow(reply), at, whole),
                _ => slow(reply),
            });
            counts.add(name);
        }
        scene.registry.when(get("/blobs/"), slow);
        let place = scene.place().caching(run % 2 == 1);
        let fetch = scene.fetch_with(&scene.name(Source::Registry), &place, 2, 1);
        let outcome = Pipeline::spawn(vec![fetch, scene.flatten(&place), scene.pack(&place)], None).wait();
        if scene.target_survives(&outcome, &place, None) {
            errors += 1;
        } else {
            right += 1;
        }
        scene.registry.heal();
        scene.registry.ranges(Ranges::Honoured);
        scene.runs_well(Source::Registry, &place, 1);
        scene.clear(&place);
    }
    println!("misbehaving registries: {counts} {right} runs gave the right image, {errors} an error");
    assert!(right > 0 && errors > 0, "the faults are all of one kind");
}
