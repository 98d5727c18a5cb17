//! The words that tar, tree and ext4 share: what an inode carries besides its content, and how names are shown.
//!
//! These types hold values exactly as POSIX and Linux define them; nothing here knows a file format.

mod acl;
mod node;
mod shown;
mod timestamp;
mod xattrs;

pub use acl::{Acl, AclEntry, AclError, AclTag};
pub use node::{Device, Metadata, NodeKind};
pub use shown::{Shown, escape};
pub use timestamp::Timestamp;
pub use xattrs::{Xattr, Xattrs};
