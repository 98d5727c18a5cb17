//! What the user should hear of overlay2 directories (F15) that were read well, once they all are.

use super::content::FileRange;
use crate::meta::Shown;
use crate::tree::{Sealed, Visit};

/// What was noticed in layers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Warnings {
    /// There are ordinary names that would be whiteouts in a layer's tar.
    pub(super) lookalikes: bool,
    /// A layer with directories was read above others where `trusted.*` attributes cannot be seen.
    pub(super) unseen: bool,
    /// Overlay's attributes are `user.*` ones.
    pub(super) userxattr: bool,
}

/// Whether a name, without its directories, is one that layers give a meaning to (F1-F4).
pub(super) fn is_lookalike(name: &[u8]) -> bool {
    name.starts_with(b".wh.")
}

impl Warnings {
    /// What was noticed here or there.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            lookalikes: self.lookalikes || other.lookalikes,
            unseen: self.unseen || other.unseen,
            userxattr: self.userxattr || other.userxattr,
        }
    }

    /// Warns of what matters for the result.
    pub(super) fn warn(self, tree: &Sealed<FileRange>) {
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

/// `tar` and tar2ext4 take such names as they are, what applies layers does not.
fn warn_of_lookalikes(tree: &Sealed<FileRange>) {
    let mut first = None;
    let mut more = 0_u64;
    let mut walk = tree.walk();
    while let Some(Visit { path, .. }) = walk.step() {
        if path.rsplit(|byte| *byte == b'/').next().is_some_and(is_lookalike) {
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
