//! What must hold for any bytes. The fuzzer hunts for counterexamples; `make check` replays the committed corpora.

mod image_document;
mod image_reference;
mod layer_manifest;
mod pax;
mod sparse_map;
mod tar_reader;

/// What a target does with its input; it panics on a counterexample.
pub type Check = fn(&[u8]);

/// A target's name, which is its corpus's too, and its check.
pub const TARGETS: &[(&str, Check)] = &[
    ("image-document", image_document::check),
    ("image-reference", image_reference::check),
    ("layer-manifest", layer_manifest::check),
    ("pax", pax::check),
    ("sparse-map", sparse_map::check),
    ("tar-reader", tar_reader::check),
];
