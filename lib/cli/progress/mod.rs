//! Progress on standard error: one line on a terminal, or plain lines now and then (S7).
//!
//! | filter | draws |
//! |---|---|
//! | `oci-fetch` | from its start on, until all has come |
//! | `oci-flatten` | while it reads layers; while it writes, if nobody behind it does |
//! | `tar2ext4` | from the first byte on |
//!
//! Each draws when no other does ([`terminal`](super::terminal)), so that in a pipeline they follow each other. No crate
//! for progress bars is used: what is left for one to do is to put two numbers into a line of a given width.

mod amount;
#[cfg(feature = "fetch")]
mod fetch;
mod flatten;
mod line;
mod pack;
mod rate;
mod ticker;
mod work;

#[cfg(feature = "fetch")]
pub use fetch::fetch_progress;
pub use flatten::flatten_progress;
pub use pack::{WatchedInput, packed};

use super::terminal;
