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
//! Each file has the usual name of the one idea in it, and a module's `mod.rs` explains how its files work together. Some
//! places to start:
//!
//! | what | where |
//! | --- | --- |
//! | an extent tree; its leaves | `lib/ext4/format/extent_tree.rs`; `lib/ext4/format/extent.rs` |
//! | a directory's block with its checksum; its index | `lib/ext4/format/dir_block.rs`; `lib/ext4/format/htree.rs` |
//! | which blocks are reserved for superblocks and descriptors | `lib/ext4/layout/reserved_blocks.rs` |
//! | a tar header; a PAX record; a sparse map | `lib/tar/header.rs`; `lib/tar/pax_record.rs`; `lib/tar/sparse.rs` |
//! | a whiteout, an opaque marker | `lib/tree/whiteouts.rs`, by their names in `lib/tree/path.rs` |
//! | hard links; symbolic links on the way | `lib/tree/links.rs`; `lib/tree/resolve.rs` |
//! | the kernel's rules for an upper directory of overlayfs | `lib/flatten/upper.rs` |
//! | the spool; the cache | `lib/flatten/spool.rs`; `lib/flatten/cache.rs` |
//! | a challenge; a token request; permitted redirects | `lib/registry/challenge.rs`; `lib/registry/token.rs`; `lib/registry/destination.rs` |
//! | a partial blob and its resumption | `lib/store/partial.rs` |
//! | a record of the layer manifest | `lib/image/layer_manifest/record.rs` |
//! | buffers from thread to thread | `lib/relay/hand_over.rs` |
//! | the image file taking its place | `lib/cli/output.rs`, `lib/sys/new_file.rs` |
//!
//! Nothing here prints or exits: `bins/` does, through [`cli`].
//!
//! # From a Rust program
//!
//! - [`source::Locator::parse`] parses a user's name for an image, [`source::fetch`] fetches the image.
//! - [`flatten::flatten`] merges layers; [`flatten::Flattened::write_to`] writes the result into any writer.
//! - [`pack::pack`] writes an image from any reader, [`pack::ImageBuilder`] by calls: directory, file, link, node, xattr.
//!
//! A pipeline of the filters is a pipe and a thread in one process:
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
//! let summary = flattening.join().expect("no panic")?;
//! assert_eq!((summary.entries, report.bytes % 4096), (2, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
