//! What the kernel's overlayfs means by what it stores in a layer's directory (F15).
//!
//! Format: the kernel's `Documentation/filesystems/overlayfs.rst`.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::meta::{Shown, Xattr};

/// Where overlayfs keeps its attributes; `user.` when mounted with `userxattr`.
const NAMESPACES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// What an inode of a layer's directory is besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overlay {
    /// It hides what lower layers have under its name, and is nothing itself.
    pub(super) whiteout: bool,
    /// It hides what lower layers have below it.
    pub(super) opaque: bool,
    /// It has one of overlayfs' attributes in the `user.` namespace.
    pub(super) userxattr: bool,
}

/// Takes overlayfs' own attributes out of `xattrs` and says what they mean.
///
/// `Err` says what it is that only the kernel could interpret.
pub(super) fn interpret(stat: &Metadata, xattrs: &mut Vec<Xattr>) -> Result<Overlay, String> {
    let whiteout = stat.file_type().is_char_device() && stat.rdev() == 0;
    let mut found = Overlay { whiteout, ..Overlay::default() };
    let mut kept = Vec::with_capacity(xattrs.len());
    for mut xattr in xattrs.drain(..) {
        let Some(namespace) = NAMESPACES.into_iter().find(|namespace| xattr.name.starts_with(namespace)) else {
            kept.push(xattr);
            continue;
        };
        found.userxattr |= namespace.starts_with(b"user.");
        match &xattr.name[namespace.len()..] {
            // `x` says that there may be whiteouts of the other kind below.
            b"opaque" if stat.is_dir() => found.opaque = found.opaque || &*xattr.value == b"y",
            b"whiteout" if stat.is_file() && stat.size() == 0 => found.whiteout = true,
            b"redirect" if stat.is_dir() => {
                let from = Shown(&xattr.value);
                return Err(format!("was renamed from {from} (overlay redirect), which only the kernel can follow"));
            }
            b"metacopy" => {
                return Err(
                    "has its content in a lower layer (overlay metacopy), which only the kernel can follow".into()
                );
            }
            // An overlay in an overlay: one level of escape is taken off.
            inner if inner.starts_with(b"overlay.") => {
                xattr.name = [namespace, &inner[b"overlay.".len()..]].concat().into();
                kept.push(xattr);
            }
            // origin, impure, nlink, upper, uuid, protattr: for the kernel alone.
            _ => {}
        }
    }
    *xattrs = kept;
    Ok(found)
}
