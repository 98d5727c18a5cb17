//! The merge tree: layers of entries in, one tree out (F rules).
//!
//! This is what a correct extractor would leave on a disk, without a disk. It knows neither tar nor ext4: `C` says
//! where a file's content stands, and nothing here looks inside.
//!
//! ```text
//!  MergeTree::new() -> tree.layer(whiteouts) -> apply(member)... -> finish() -> (next layer) -> tree.seal() -> Sealed
//! ```
//!
//! Names and inodes are apart, as in a file system, so that the inode of a hard link outlives every single name (F8).
//! Whiteouts take effect before any entry of their layer, because they act on lower layers only, wherever they stand
//! (F1); what they hide stays reachable for hard links that came before them until the layer ends.
//!
//! Lookup, insertion and removal cost the same in a directory of ten and of a million names. A node takes about 140
//! bytes besides its name. Nothing recurses, so depth is bounded by memory alone.

mod allowance;
mod arena;
mod components;
mod error;
mod hidden_entries;
mod layer;
mod links;
mod merge_tree;
mod path;
mod placement;
mod resolve;
mod sealed;
mod table;
#[cfg(test)]
mod tests;
mod walk;
mod whiteouts;

pub use error::Error;
pub use layer::{ExistingDirectories, LayerInProgress};
pub use merge_tree::MergeTree;
pub use path::{MAX_NAME, PathError, WhiteoutKind, normalise, whiteout_kind};
pub use sealed::{Children, InodeId, InodeView, Sealed};
pub use walk::{Visit, Walk};
pub use whiteouts::{WhiteoutFormat, Whiteouts};
