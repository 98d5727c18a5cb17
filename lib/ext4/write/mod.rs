//! Writing: content as it comes, then everything else, through a [`Target`](target::Target).

pub(crate) mod content;
pub(crate) mod disk;
pub(crate) mod finish;
pub(crate) mod image_writer;
pub(crate) mod metadata;
pub(crate) mod target;
pub(crate) mod write_behind;
