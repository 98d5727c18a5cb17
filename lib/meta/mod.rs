//! The words that tar, tree and ext4 share: what an inode carries besides its content.
//!
//! These types hold values exactly as POSIX and Linux define them; nothing here knows a file format.

mod node;
mod timestamp;
mod xattrs;

pub use node::{Device, Metadata, NodeKind};
pub use timestamp::Timestamp;
pub use xattrs::{Xattr, Xattrs};
