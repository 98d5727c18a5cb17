//! The ext4 image writer (E rules).

mod acl;
mod dir;
mod dir_block;
mod hash;
mod htree;
mod xattr;
mod xattr_block;

pub use acl::AclError;
pub use dir::{DirEntry, DirError, DirFormat, DirOwner, DirectoryPlan, FileType, NAME_MAX};
pub use hash::{HashSeed, HashSign, NameHash, half_md4};
pub use xattr::{
    INODE_SPACE, InodeXattrs, XattrError, check as check_xattrs, check_name as check_xattr_name,
    encode as encode_xattrs,
};
pub use xattr_block::XattrBlocks;
