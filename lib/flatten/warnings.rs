//! Warnings about overlay2 directories (F15), given once all of them have been read.

use super::content::FileRange;
use crate::meta::Shown;
use crate::tree::{SealedTree, Visit, file_name, is_whiteout_name};

/// What was noticed in layers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Warnings {
    /// There are ordinary names that would be whiteouts in the tar of a layer.
    pub(super) lookalikes: bool,
    /// A layer with directories was read above others although `trusted.*` attributes are not visible.
    pub(super) unseen: bool,
    /// The overlay uses `user.*` attributes.
    pub(super) userxattr: bool,
}

impl Warnings {
    /// What was noticed in either.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            lookalikes: self.lookalikes || other.lookalikes,
            unseen: self.unseen || other.unseen,
            userxattr: self.userxattr || other.userxattr,
        }
    }

    /// Gives the warnings that matter for the result.
    pub(super) fn warn(self, tree: &SealedTree<FileRange>) {
        if self.unseen && !self.userxattr {
            log::warn!(
                "trusted.overlay attributes cannot be read in this user namespace: \
                 directories that root's overlay mounts made opaque would be missed"
            );
        }
        if self.lookalikes {
            warn_of_lookalikes(tree);
        }
    }
}

/// `tar` and tar2ext4 take such names literally, but tools that apply layers do not.
fn warn_of_lookalikes(tree: &SealedTree<FileRange>) {
    let mut first = None;
    let mut more = 0_u64;
    let mut walk = tree.walk();
    while let Some(Visit { path, .. }) = walk.step() {
        if is_whiteout_name(file_name(path)) {
            match first {
                None => first = Some(Shown(path).to_string()),
                Some(_) => more += 1,
            }
        }
    }
    let Some(first) = first else { return };
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    log::warn!("{first}{more}: an ordinary name, but whoever reads this tar as a layer will take it for a whiteout");
}
