//! What must hold for any bytes. The fuzzer hunts for counterexamples; `make check` replays the committed corpora.

mod layer_manifest;

/// A target's name, which is its corpus's too, and its check, which panics on a counterexample.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[("layer-manifest", layer_manifest::check)];
