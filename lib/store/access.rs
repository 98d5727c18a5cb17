//! Who may write to a store, and the permissions of new files that follow from it.

use std::time::Duration;

use rustix::fs::{Mode, RawMode};

use crate::sys::WRITE_BY_OTHERS;

/// Who may write to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only this user and root; otherwise the store is not used.
    Private,
    /// Others too, on purpose. Blobs and documents are verified where they are used; what a name refers to is up to anybody
    /// who may write.
    Shared,
    /// Its maker: an image layout that the user names and that is only read, including its links.
    InPlace,
}

/// How a store is used.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who may write to it.
    pub access: Access,
    /// How long to wait for another process that holds a lock and does not progress.
    pub patience: Duration,
}

impl Access {
    /// The mode of new files, before the umask.
    pub(super) fn mode(self, full: RawMode) -> Mode {
        match self {
            Self::Shared => Mode::from_raw_mode(full),
            Self::Private | Self::InPlace => Mode::from_raw_mode(full & !WRITE_BY_OTHERS),
        }
    }
}
