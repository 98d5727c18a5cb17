//! The ways that every Unix has (S8), where Linux usually goes its own: what `make check` runs once more with the feature
//! `portable`, and what runs on macOS.

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

#[path = "portable/outputs.rs"]
mod outputs;
#[path = "cli/pipeline.rs"]
mod pipeline;
#[path = "cli/pipeline_cuts.rs"]
mod pipeline_cuts;
