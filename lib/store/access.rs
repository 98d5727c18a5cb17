//! Who may write to a store, and what that means for what is made in it.

use std::time::Duration;

use rustix::fs::{Mode, RawMode};

/// Bits of a mode that let the group and everybody write.
pub(super) const WRITE_BY_OTHERS: u32 = 0o022;

/// Who may write to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// This user and root alone, else it is not used.
    Private,
    /// Others too, on purpose. Blobs and documents are verified where they are used; what a name stands for is what any of
    /// those who may write says.
    Shared,
    /// Whoever made it: an image layout that the user names and that is only read, links and all.
    InPlace,
}

/// How a store is used.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who may write to it.
    pub access: Access,
    /// How long another process is waited for that holds a lock and gets no further.
    pub patience: Duration,
}

impl Access {
    /// The mode that something new gets, before the umask.
    pub(super) fn mode(self, full: RawMode) -> Mode {
        match self {
            Self::Shared => Mode::from_raw_mode(full),
            Self::Private | Self::InPlace => Mode::from_raw_mode(full & !0o022),
        }
    }
}
