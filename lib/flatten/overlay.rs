//! How the kernel's overlayfs marks things in a layer's directory (F15).
//!
//! Format: the kernel's `Documentation/filesystems/overlayfs.rst`.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::meta::{Device, Shown, Xattr};

/// The device that stands for a removed name.
pub(super) const WHITEOUT: Device = Device { major: 0, minor: 0 };
/// The attribute, set to `y`, of a directory that hides the lower one.
pub(super) const OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// The namespace of overlayfs' own attributes, which it hides from users.
pub(super) const PRIVATE: &[u8] = b"trusted.overlay.";
/// The same, and that of overlays mounted with `userxattr`.
const NAMESPACES: [&[u8]; 2] = [PRIVATE, b"user.overlay."];

/// What an inode means besides being a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overlay {
    /// It hides the lower entry of its name, and is not an entry itself.
    pub(super) whiteout: bool,
    /// It hides the children of the lower directory.
    pub(super) opaque: bool,
    /// It has one of overlayfs' attributes in the `user.` namespace.
    pub(super) userxattr: bool,
}

/// Removes overlayfs' own attributes from `xattrs` and interprets them.
///
/// `Err` describes something that only the kernel can interpret.
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
            // `x` means that there may be whiteouts of the xattr kind in it.
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
            // An overlay within an overlay: remove one level of escaping.
            inner if inner.starts_with(b"overlay.") => {
                xattr.name = [namespace, &inner[b"overlay.".len()..]].concat().into();
                kept.push(xattr);
            }
            // origin, impure, nlink, upper, uuid, protattr only matter to the kernel.
            _ => {}
        }
    }
    *xattrs = kept;
    Ok(found)
}
