//! The on-disk structures: bytes of one structure each, its checksum included. No I/O, and nothing here decides where a
//! structure stands.

pub(crate) mod acl;
pub(crate) mod checksum;
pub(crate) mod device;
pub(crate) mod dir_block;
pub(crate) mod dir_entry;
pub(crate) mod directory;
pub(crate) mod extent;
pub(crate) mod extent_tree;
pub(crate) mod group_descriptor;
pub(crate) mod htree;
pub(crate) mod inode;
pub(crate) mod journal;
pub(crate) mod name_hash;
pub(crate) mod superblock;
pub(crate) mod time;
pub(crate) mod xattr_block;
pub(crate) mod xattr_entry;
pub(crate) mod xattr_name;
