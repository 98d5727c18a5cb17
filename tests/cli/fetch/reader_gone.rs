//! `oci-fetch` whose reader is gone stops at once, whatever it is doing (S3, S9).

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::one;
use crate::support::registry::{Image, Layer, Puller, Registry, Reply, any, get};

fn spawn(puller: &Puller, words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oci-fetch"));
    command.args(["--timeout", "30", "--dir"]).arg(puller.store()).args(words);
    command.env("HOME", puller.home()).env("CONTAINERS_REGISTRIES_CONF", puller.path("registries.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its reader goes; it must end at once, quietly, with status 1. A loaded machine needs a second or two for that; what it
/// is waiting for would take thirty.
#[track_caller]
fn stops(mut child: Child) {
    drop(child.stdout.take());
    let gone = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(gone.elapsed() < Duration::from_secs(3), "it took {:?}", gone.elapsed());
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn in_the_middle_of_a_layer() {
    let image = Image::of([Layer::noise(1, 400_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get(&*image.layers[0].digest), |reply| reply.slow(1_000, Duration::from_millis(100)));
    let puller = Puller::new();
    let mut child = spawn(&puller, &[&registry.name("demo")]);
    // Up to where there is nothing to write for long.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.find(|line| line.as_ref().unwrap().contains("\"fetching\""));
    assert!(begun.is_some());
    thread::sleep(Duration::from_millis(300));
    drop(lines);
    stops(child);
    // What has arrived is carried on with.
    let partial = puller.store().join("partial").join(image.layers[0].digest.replace(':', "."));
    assert!(fs::metadata(partial).unwrap().len() > 0);
    registry.heal();
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn while_the_registry_is_silent() {
    for what in ["/v2/", "/manifests/", "/blobs/"] {
        let (_, registry, puller) = one();
        registry.when(any(what), Reply::never);
        let child = spawn(&puller, &[&registry.name("demo")]);
        thread::sleep(Duration::from_millis(500));
        stops(child);
    }
}

#[test]
fn while_it_waits_for_another_process() {
    let (image, registry, puller) = one();
    let partial = puller.file(&format!("store/partial/{}", image.layers[0].digest.replace(':', ".")), "");
    let held = fs::File::open(&partial).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let child = spawn(&puller, &[&registry.name("demo")]);
    thread::sleep(Duration::from_millis(500));
    stops(child);
}

#[test]
fn while_an_archive_comes_slowly() {
    let puller = Puller::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oci-fetch"));
    command.arg("--dir").arg(puller.store()).arg("-").env("HOME", puller.home());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let archive = child.stdin.take();
    thread::sleep(Duration::from_millis(300));
    stops(child);
    drop(archive);
}

/// The config's file is not replaced by a run that fails in the end.
#[test]
fn a_config_is_not_replaced_when_nobody_reads() {
    let (image, registry, puller) = one();
    let config = puller.file("config.json", "old");
    registry.when(get(&*image.layers[1].digest), |reply| reply.slow(1, Duration::from_millis(100)));
    let child = spawn(&puller, &["--config", config.to_str().unwrap(), &registry.name("demo")]);
    thread::sleep(Duration::from_millis(500));
    stops(child);
    assert_eq!(fs::read_to_string(config).unwrap(), "old");
}
