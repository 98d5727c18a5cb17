//! Whole images as the library writes them, judged by tools that are not ours.

mod content;
mod directories;
mod in_place;
mod others;
mod sizes;
mod tree;
