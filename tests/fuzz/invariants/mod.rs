//! What must hold for any bytes. The fuzzer hunts for counterexamples; `make check` replays the committed corpora.

mod challenge;
mod codec;
mod ext4_plan;
mod ext4_writer;
mod flatten_model;
mod image;
mod image_document;
mod image_reference;
mod input;
mod layer_manifest;
mod layers;
mod model;
mod pax;
mod sparse_map;
mod tar2ext4;
mod tar_reader;
mod whiteouts;

/// What a target does with its input; it panics on a counterexample.
pub type Check = fn(&[u8]);

/// A target's name, which is its corpus's too, and its check.
pub const TARGETS: &[(&str, Check)] = &[
    ("challenge", challenge::check),
    ("codec", codec::check),
    ("ext4-writer", ext4_writer::check),
    ("flatten-model", flatten_model::check),
    ("image-document", image_document::check),
    ("image-reference", image_reference::check),
    ("layer-manifest", layer_manifest::check),
    ("pax", pax::check),
    ("sparse-map", sparse_map::check),
    ("tar-reader", tar_reader::check),
    ("tar2ext4", tar2ext4::check),
    ("whiteouts", whiteouts::check),
];
