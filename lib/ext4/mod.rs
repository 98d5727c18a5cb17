//! The ext4 image writer (E rules).

mod dir;
mod dir_block;
mod hash;
mod htree;

pub use dir::{DirEntry, DirError, DirFormat, DirOwner, DirectoryPlan, FileType, NAME_MAX};
pub use hash::{HashSeed, HashSign, NameHash, half_md4};
