//! Whole images, judged by tools that are not ours.
// A test may panic, and knows its numbers.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod content;
mod directories;
mod in_place;
mod sizes;
mod support;
mod tools;
