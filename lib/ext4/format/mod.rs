//! The on-disk structures: bytes of one structure each, its checksum included. No I/O, nothing decides where they stand.

pub(crate) mod acl;
pub(crate) mod dir_block;
pub(crate) mod extent_tree;
pub(crate) mod htree;
pub(crate) mod inode;
pub(crate) mod journal;
pub(crate) mod name_hash;
pub(crate) mod superblock;
pub(crate) mod xattr;
pub(crate) mod xattr_block;
