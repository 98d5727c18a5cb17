//! Sends a growing file to the disk while it is still being written, so that the sync at its end has little left to do.

use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};

/// A sync starts after this many new bytes.
const STEP: u64 = 32 << 20;

/// Syncs one file in the background while it is written, one sync at a time.
///
/// No error may be lost: the system reports bytes that it could not write only once.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    unsynced: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Flusher {
    /// Call this after writing `count` bytes to `file`. Never waits for the disk.
    ///
    /// # Errors
    /// When an earlier sync failed.
    pub(super) fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.unsynced = self.unsynced.saturating_add(bytes as u64);
        let is_busy = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if self.unsynced < STEP || is_busy {
            return Ok(());
        }
        self.wait()?;
        // Without a spare descriptor or thread, the sync at the end does all the work.
        if let Ok(file) = file.try_clone() {
            self.running = thread::Builder::new().spawn(move || file.sync_data()).ok();
        }
        self.unsynced = 0;
        Ok(())
    }

    /// Syncs the rest of `file`.
    ///
    /// # Errors
    /// When this sync or an earlier one failed.
    pub(super) fn finish(&mut self, file: &File) -> io::Result<()> {
        self.wait()?;
        file.sync_data()
    }

    fn wait(&mut self) -> io::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(synced)) => synced,
            Some(Err(_)) => Err(io::Error::other("a sync ended early")),
        }
    }
}
