//! Container images, or any tar stream, into ext4 root file systems.
//!
//! Three filters share this library:
//!
//! ```text
//!  registry, OCI layout,       blobs on disk +             one canonical          ext4 image,
//!  archives, overlay2    --->  layer manifest (stdout) --> tar stream (stdout) --> exact, fsck-clean
//!              oci-fetch                    oci-flatten                tar2ext4
//! ```
//!
//! The modules form a stack; a module knows only those below it:
//!
//! ```text
//!  bins/        oci-fetch            oci-flatten           tar2ext4
//!                   |                     |                    |
//!  cli          flags, sizes, exit status, messages, progress, atomic output
//!                   |                     |                    |
//!  adapters      source                flatten                pack
//!                /  |  \              /  |   \               /  |  \
//!          registry | store     codec   tar   tree        tar  tree  ext4
//!                \  |  /                   \   |           /   |    /
//!  vocabulary     image                             meta
//! ```
//!
//! Nothing here prints or exits: that is for `bins/`, through [`cli`].

pub mod cli;
pub mod codec;
pub mod ext4;
pub mod flatten;
pub mod image;
pub mod meta;
pub mod pack;
#[cfg(feature = "fetch")]
pub mod registry;
#[cfg(feature = "fetch")]
pub mod source;
#[cfg(feature = "fetch")]
pub mod store;
pub mod tar;
pub mod tree;
