//! Progress on standard error: one line on a terminal, or plain lines now and then (S7).
//!
//! | filter | draws |
//! |---|---|
//! | `oci-fetch` | from its start until everything has arrived |
//! | `oci-flatten` | while it reads layers; while it writes, unless the next filter draws |
//! | `tar2ext4` | from the first byte on |
//!
//! Each draws only when no other does ([`terminal`](super::terminal)), so that in a pipeline they take turns. There is
//! no crate for progress bars here: all that would be left for it is to format two numbers in a line of a given width.

mod amount;
#[cfg(feature = "fetch")]
mod fetch;
mod flatten;
mod line;
mod meter;
mod pack;
mod rate;
mod ticker;
mod work;

#[cfg(feature = "fetch")]
pub use fetch::fetch_progress;
pub use flatten::flatten_progress;
pub use pack::{WatchedInput, packed};

use super::terminal;
