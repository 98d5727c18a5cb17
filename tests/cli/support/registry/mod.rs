//! A registry in the test's own process, as good or as bad as the test wants it.
//!
//! ```text
//! let image = Image::of([Layer::noise(1, 100_000)]);
//! let registry = Registry::start();
//! registry.push("demo", "latest", &image);
//! registry.when(get("/blobs/").once(), |reply| reply.cut_at(1000));
//! Puller::new().pull(registry.name("demo")).run().gets(&image);
//! assert_eq!(registry.asked(get("/blobs/")).len(), 3);
//! ```
//!
//! Every password, token and signature of these tests holds the word `SECRET`, which must never be seen again.

mod archive;
mod guard;
mod http;
mod image;
mod peer;
mod proxy;
mod puller;
mod server;
mod text;
mod tls;
mod wire;

pub use archive::{docker_archive, docker_archive_25, docker_archive_old, oci_archive, oci_layout};
pub use guard::{Guard, Issuer};
pub use http::{Reply, Request};
pub use image::{Artifact, Image, Index, Layer, Part, digest, host_architecture, sha512};
pub use peer::{DockerRegistry, Nghttpx};
pub use proxy::Proxy;
pub use puller::{Pull, Pulled, Puller, Pulling, assert_whole, parts_in_flight};
pub use server::{Ranges, Registry, When, any, get, head, post};
pub use text::{base64, base64_decode};
pub use tls::{Authority, Identity};
