//! The vocabulary that tar, tree and ext4 share: entries, the attributes of inodes, and how names are shown.
//!
//! These types hold values exactly as POSIX and Linux define them; nothing here depends on a file format.

mod acl;
mod entry;
pub(crate) mod leb128;
mod node;
mod shown;
mod timestamp;
mod xattrs;

pub use acl::{Acl, AclEntry, AclError, AclTag};
pub use entry::{Entry, Named};
pub use node::{Device, Metadata, NodeKind};
pub use shown::{Shown, escape};
pub use timestamp::Timestamp;
pub use xattrs::{SharedXattrs, Xattr, Xattrs};
