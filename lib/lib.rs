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
//!  vocabulary     image             relay           meta           verity (of cli)
//!  system                               sys
//! ```
//!
//! Nothing here prints or exits: that is for `bins/`, through [`cli`].
//!
//! # From a Rust program
//!
//! - [`source::Locator::parse`] opens a source by the name that a user gives, [`source::fetch`] fetches the image.
//! - [`flatten::flatten`] merges layers; [`flatten::Flattened::write_to`] writes the result into any writer.
//! - [`pack::pack`] writes an image from any reader, [`pack::ImageBuilder`] by calls: directory, file, link, node, xattr.
//!
//! What the filters do in a shell is a pipe and a thread in-process:
//!
//! ```
//! use oci2ext4::{ext4, flatten, pack};
//!
//! # let dir = tempfile::tempdir()?;
//! # let tree = dir.path().to_path_buf();
//! std::fs::write(tree.join("motd"), "Welcome\n")?;
//! let options = flatten::Options { layers: vec![tree.into()], ..Default::default() };
//! let (reader, writer) = std::io::pipe()?;
//! let flattening = std::thread::spawn(move || flatten::flatten(None::<&[u8]>, &options)?.write_to(writer));
//!
//! let identity = pack::Identify::As(ext4::Identity { uuid: [7; 16], ..Default::default() });
//! let packing = pack::PackOptions { image: ext4::Options::default(), identity, allow_missing_eof: false };
//! let report = pack::pack(reader, ext4::FreshFile(tempfile::tempfile()?), &packing)?;
//! let totals = flattening.join().expect("no panic")?;
//! assert_eq!((totals.entries, report.bytes % 4096), (2, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::match_bool)]

pub mod cli;
pub mod codec;
pub mod ext4;
pub mod flatten;
pub mod image;
pub mod meta;
pub mod pack;
#[cfg(feature = "fetch")]
pub mod registry;
pub mod relay;
#[cfg(feature = "fetch")]
pub mod source;
#[cfg(feature = "fetch")]
pub mod store;
pub mod sys;
pub mod tar;
pub mod tree;
pub mod verity;
