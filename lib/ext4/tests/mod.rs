//! Whole images, judged by tools that are not ours.
#![allow(clippy::unwrap_used)] // a test may panic

mod content;
mod sizes;
mod support;
mod tools;
