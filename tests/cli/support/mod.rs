//! What the tests share: running filters, oracles, mounts, and comparing trees.
//!
//! ```text
//! Filter::tar2ext4().arg("-o").arg(&image).stdin(tar).run().succeeds().quiet();
//! Filter::tar2ext4().run().fails_with(2, "--output");
//! e2fsck_clean(&image);
//! let mount = LoopMount::read_only(&image);
//! Snapshot::of(mount.path()).mask_path("lost+found", "mke2fs makes it").assert_same(&Snapshot::of(unpacked));
//! ```
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

mod diff;
mod dist;
mod filter;
mod guest;
mod image;
mod listing;
mod members;
mod mount;
mod mounted;
mod names;
mod oracle;
mod parallel;
pub mod registry;
pub mod script;
mod snapshot;
pub mod stack;
mod tarfile;
mod tools;
mod usage;
mod wire;

pub use diff::{assert_bytes, assert_text, side_by_side};
pub use dist::{Dist, dist};
pub use filter::{Filter, Ran, Running, shell};
pub use guest::{Guest, guest_root};
pub use image::{Compression, Layout, architecture, buildah, debian, debian_unpacked, sample, sha256};
pub use listing::listing;
pub use members::{assert_canonical, members};
pub use mount::{LoopMount, Overlay};
pub use mounted::{LoopDevice, Tmpfs};
pub use oracle::{debugfs, dumpe2fs, e2fsck_clean, e2fsck_silent, free_blocks, skopeo_push, tool};
pub use parallel::in_parallel;
pub use snapshot::Snapshot;
pub use tarfile::python_tar;
pub use tools::{needs, needs_root, repository, scratch, test_cache};
pub use usage::{PeakMemory, least_costs, processor_seconds};
pub use wire::{Then, Wire};
