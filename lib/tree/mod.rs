//! The merge tree: merges layers of entries into one tree (F rules).
//!
//! The result is what a correct extractor would leave on a disk. The tree knows neither tar nor ext4: the type `C`
//! locates a file's content, and nothing here looks inside.
//!
//! ```text
//!  MergeTree::new() -> tree.layer(whiteouts) -> apply(member)... -> finish() -> (next layer) -> tree.seal() -> SealedTree
//! ```
//!
//! Names and inodes are separate, as in a file system, so that an inode outlives any single one of its names (F8).
//! Whiteouts take effect before all entries of their layer, because they only affect lower layers, wherever they are
//! (F1); until the layer ends, hard links that precede them can still reach what they hide.
//!
//! Lookup, insertion and removal take constant time however many names a directory has. An entry takes about 140 bytes
//! besides its name. Nothing recurses, so depth is bounded by memory alone.

mod allowance;
mod arena;
mod components;
mod error;
mod hidden_entries;
mod layer;
mod links;
mod merge_tree;
mod names;
mod path;
mod placement;
mod placement_error;
mod resolve;
mod sealed_tree;
mod table;
#[cfg(test)]
mod tests;
mod walk;
mod whiteouts;

pub use error::Error;
pub use layer::{ExistingDirectories, LayerInProgress};
pub use merge_tree::MergeTree;
pub use path::{PathError, file_name, is_whiteout_name, normalise, push_component};
pub use sealed_tree::{Children, InodeId, InodeView, SealedTree};
pub use walk::{Visit, Walk};
pub use whiteouts::{WhiteoutFormat, Whiteouts};
