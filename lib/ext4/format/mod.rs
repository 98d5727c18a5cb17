//! The on-disk structures, one per file, including their checksums. There is no I/O here, and nothing decides where a
//! structure goes.

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
