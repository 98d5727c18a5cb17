//! Tests of the three binaries, against oracles that are not ours: e2fsck, the kernel's ext4, umoci, GNU tar.
//!
//! What the library writes and other programs judge is tested here too, so that `cargo test --lib` needs no tool.
//!
//! One test binary; a module for each subject under `tests/cli/`, and what they share in `tests/cli/support/`.
//! A test that lacks a tool or a privilege fails and says what to install; none is skipped in silence.

// In tests a panic is the report of a failure, and the report goes to the terminal.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "the terminal gets the report")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test knows its numbers"
)]
#![allow(unreachable_pub, missing_docs, reason = "a test has no callers")]

#[path = "cli/support/mod.rs"]
mod support;

#[path = "cli/architecture/mod.rs"]
mod architecture;
#[path = "cli/arm.rs"]
mod arm;
#[path = "cli/bombs/mod.rs"]
mod bombs;
#[path = "cli/boot.rs"]
mod boot;
#[path = "cli/dist.rs"]
mod dist;
#[path = "cli/documents.rs"]
mod documents;
#[path = "cli/escapes.rs"]
mod escapes;
#[path = "cli/ext4_writer/mod.rs"]
mod ext4_writer;
#[path = "cli/faults/mod.rs"]
mod faults;
#[path = "cli/fetch/mod.rs"]
mod fetch;
#[path = "cli/flatten_cache.rs"]
mod flatten_cache;
#[path = "cli/flatten_cases.rs"]
mod flatten_cases;
#[path = "cli/flatten_images.rs"]
mod flatten_images;
#[path = "cli/flatten_limits.rs"]
mod flatten_limits;
#[path = "cli/flatten_overlay.rs"]
mod flatten_overlay;
#[path = "cli/flatten_parts.rs"]
mod flatten_parts;
#[path = "cli/flatten_random/mod.rs"]
mod flatten_random;
#[path = "cli/flatten_run.rs"]
mod flatten_run;
#[path = "cli/flatten_scale.rs"]
mod flatten_scale;
#[path = "cli/flatten_stack.rs"]
mod flatten_stack;
#[path = "cli/foreign.rs"]
mod foreign;
#[path = "cli/fuzz_corpus.rs"]
mod fuzz_corpus;
#[path = "cli/hostile_costs/mod.rs"]
mod hostile_costs;
#[path = "cli/install.rs"]
mod install;
#[path = "cli/messages.rs"]
mod messages;
#[path = "cli/pipeline.rs"]
mod pipeline;
#[path = "cli/pipeline_costs.rs"]
mod pipeline_costs;
#[path = "cli/pipeline_cuts.rs"]
mod pipeline_cuts;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/readme_boot.rs"]
mod readme_boot;
#[path = "cli/readme_cluster.rs"]
mod readme_cluster;
#[path = "cli/readme_init.rs"]
mod readme_init;
#[path = "cli/self_test.rs"]
mod self_test;
#[path = "cli/streams.rs"]
mod streams;
#[path = "cli/tar2ext4_borders.rs"]
mod tar2ext4_borders;
#[path = "cli/tar2ext4_damage.rs"]
mod tar2ext4_damage;
#[path = "cli/tar2ext4_dialects.rs"]
mod tar2ext4_dialects;
#[path = "cli/tar2ext4_free.rs"]
mod tar2ext4_free;
#[path = "cli/tar2ext4_guest.rs"]
mod tar2ext4_guest;
#[path = "cli/tar2ext4_mke2fs.rs"]
mod tar2ext4_mke2fs;
#[path = "cli/tar2ext4_output.rs"]
mod tar2ext4_output;
#[path = "cli/tar2ext4_random.rs"]
mod tar2ext4_random;
#[path = "cli/tar2ext4_scale.rs"]
mod tar2ext4_scale;
#[path = "cli/tar2ext4_tree.rs"]
mod tar2ext4_tree;
#[path = "cli/tar2ext4_verity.rs"]
mod tar2ext4_verity;
#[path = "cli/tar_format/mod.rs"]
mod tar_format;
#[path = "cli/terminal/mod.rs"]
mod terminal;
