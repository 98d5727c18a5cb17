//! `oci-fetch`, mostly against the registry of [`crate::support::registry`].

mod archives;
mod auth;
mod destinations;
mod documents;
mod following;
mod hostile;
mod http2;
mod identity;
mod large;
mod messages;
mod names;
mod odd_files;
mod p521;
mod parallel;
mod peers;
mod planted;
mod platforms;
mod prune;
mod reader_gone;
mod registry_test;
mod resume;
mod round_trips;
mod secrets;
mod sources;
mod store;
mod tls;
mod tolerance;
mod transfer;

use crate::support::registry::{Image, Layer, Puller, Registry};

/// An image of two layers in a registry of its own, as `demo:latest`, and who pulls it.
fn one() -> (Image, Registry, Puller) {
    let image = Image::of([Layer::noise(1, 30_000), Layer::file("a", "b")]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    (image, registry, Puller::new())
}
