//! What must hold for any bytes. The fuzzer hunts for counterexamples; `make check` replays the committed corpora.

mod image_document;
mod image_reference;
mod layer_manifest;
mod pax;
mod sparse_map;
mod tar_reader;

/// A target's name, which is its corpus's too, and its check, which panics on a counterexample.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("image-document", image_document::check),
    ("image-reference", image_reference::check),
    ("layer-manifest", layer_manifest::check),
    ("pax", pax::check),
    ("sparse-map", sparse_map::check),
    ("tar-reader", tar_reader::check),
];
