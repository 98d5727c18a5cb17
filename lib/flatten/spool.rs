//! Spool files: decoded layers in files that only this process can see, and that vanish with it however it ends.
//!
//! A layer's spool is divided into regions of files that all layers share. A file is closed, and its pages are freed,
//! as soon as the last wanted byte of its regions is written out: the result then takes over the memory of the spool,
//! and little of the spool ever reaches a disk. Punching holes would not do, because pages that sendfile(2) has put
//! into a pipe change with their file; pages of a closed file stay as they are.
//!
//! The first files have one region each. Later ones have more, so that even a terabyte or thousands of layers take only a
//! few hundred open files; the unwritten part of a region is a hole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LayerError;
use super::output::{CopyError, TarOutput};
use crate::relay::fitting;

/// The size of a region in bytes, a multiple of what is written at once.
const REGION: u64 = 32 << 20;
/// After this many files, the number of regions per file doubles.
const FILES: u32 = 32;

/// The directory for all spools of a run.
#[derive(Debug)]
pub(super) struct SpoolDir {
    dir: PathBuf,
    current: Mutex<Current>,
}

/// The file from which the next regions are taken.
#[derive(Debug, Default)]
struct Current {
    file: Option<Arc<File>>,
    /// Where its next region starts, and how many it has left.
    next: u64,
    left: u64,
    /// The number of files so far.
    files: u32,
}

impl SpoolDir {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, current: Mutex::default() }
    }

    /// A new, empty region for a layer's bytes from `start` on.
    fn region(&self, start: u64) -> Result<Region, LayerError> {
        let mut current = lock(&self.current);
        let file = match current.file.take().filter(|_| current.left > 0) {
            Some(file) => file,
            None => {
                // With O_TMPFILE it never has a name; otherwise it is unlinked at once.
                let file = tempfile::tempfile_in(&self.dir).map_err(|source| self.error(source))?;
                let doublings = (current.files / FILES).min(16);
                *current = Current { file: None, next: 0, left: 1 << doublings, files: current.files + 1 };
                Arc::new(file)
            }
        };
        let offset = current.next;
        current.next += REGION;
        current.left -= 1;
        current.file = (current.left > 0).then(|| Arc::clone(&file));
        Ok(Region { start, limit: start.saturating_add(REGION), file: Some(file), offset, wanted: 0 })
    }

    fn error(&self, source: io::Error) -> LayerError {
        LayerError::Spool { dir: self.dir.clone(), source }
    }
}

fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One decoded layer.
#[derive(Debug)]
pub(super) struct Spool {
    dir: Arc<SpoolDir>,
    regions: Vec<Region>,
    end: u64,
}

#[derive(Debug)]
struct Region {
    /// The range of the layer's bytes that it can hold.
    start: u64,
    limit: u64,
    /// Closed when its content is no longer wanted.
    file: Option<Arc<File>>,
    /// Its offset in the file.
    offset: u64,
    /// How many of its bytes are still to be written out.
    wanted: u64,
}

impl Spool {
    /// An empty spool; files are created as bytes come.
    pub(super) fn new(dir: Arc<SpoolDir>) -> Self {
        Self { dir, regions: Vec::new(), end: 0 }
    }

    /// Adds bytes at the end.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            if self.regions.last().is_none_or(|region| region.limit == self.end) {
                self.regions.push(self.dir.region(self.end)?);
            }
            let Some(Region { start, limit, file: Some(file), offset, .. }) = self.regions.last() else {
                return Ok(());
            };
            let (now, rest) = bytes.split_at(fitting(limit - self.end, bytes.len()));
            file.write_all_at(now, offset + (self.end - start)).map_err(|source| self.dir.error(source))?;
            self.end += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Announces that [`Spool::copy`] will be called for these bytes, once.
    pub(super) fn want(&mut self, at: u64, len: u64) {
        for (region, _, len) in pieces(&mut self.regions, at, len) {
            region.wanted += len;
        }
    }

    /// Frees the regions of which nothing is wanted.
    pub(super) fn trim(&mut self) {
        for region in self.regions.iter_mut().filter(|region| region.wanted == 0) {
            region.file = None;
        }
    }

    /// Writes out `len` bytes from `at` on, and frees regions that are no longer wanted.
    pub(super) fn copy(&mut self, at: u64, len: u64, out: &mut TarOutput<'_>) -> Result<(), CopyError> {
        let mut copied = 0;
        for (region, offset, len) in pieces(&mut self.regions, at, len) {
            let Some(file) = &region.file else { break };
            out.copy(file, offset, len)?;
            copied += len;
            region.wanted = region.wanted.saturating_sub(len);
            if region.wanted == 0 {
                region.file = None;
            }
        }
        if copied == len { Ok(()) } else { Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into())) }
    }
}

/// The regions that hold a range, each with the offset in its file and the length of its part.
fn pieces(regions: &mut [Region], at: u64, len: u64) -> impl Iterator<Item = (&mut Region, u64, u64)> {
    let end = at.saturating_add(len);
    let first = regions.partition_point(|region| region.limit <= at);
    regions[first..].iter_mut().take_while(move |region| region.start < end).map(move |region| {
        let start = region.start.max(at);
        let len = region.limit.min(end) - start;
        let offset = region.offset + (start - region.start);
        (region, offset, len)
    })
}

/// Where spool files go: `asked` (--tmpdir), else `TMPDIR`, else /var/tmp (which is meant for large files), else /tmp.
pub(super) fn default_dir(asked: Option<&Path>) -> PathBuf {
    if let Some(dir) = asked {
        return dir.into();
    }
    if let Some(dir) = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let var = Path::new("/var/tmp");
    let usable = rustix::fs::access(var, rustix::fs::Access::WRITE_OK).is_ok();
    if usable { var.into() } else { "/tmp".into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

    use super::*;

    /// A spool with regions, filled with a pattern.
    fn filled(regions: u64) -> (Spool, Vec<u8>) {
        let mut spool = Spool::new(Arc::new(SpoolDir::new(std::env::temp_dir())));
        let bytes: Vec<u8> = (0..REGION * regions).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for piece in bytes.chunks(1_000_003) {
            spool.write(piece).unwrap();
        }
        (spool, bytes)
    }

    fn copied(spool: &mut Spool, at: u64, len: u64) -> Vec<u8> {
        let mut got = Vec::new();
        let mut out = TarOutput::to_writer(&mut got);
        assert!(spool.copy(at, len, &mut out).is_ok());
        out.flush().unwrap();
        drop(out);
        got
    }

    #[test]
    fn regions_go_when_the_last_wanted_byte_is_out() {
        let (mut spool, bytes) = filled(3);
        let (border, end) = (REGION, REGION * 2);
        spool.want(border - 10, 30);
        spool.want(end - 5, 5);
        spool.trim();
        let open = |spool: &Spool| spool.regions.iter().map(|region| region.file.is_some()).collect::<Vec<_>>();
        assert_eq!(open(&spool), [true, true, false]);
        let at = usize::try_from(border).unwrap();
        assert_eq!(copied(&mut spool, border - 10, 30), &bytes[at - 10..at + 20]);
        assert_eq!(open(&spool), [false, true, false]);
        assert_eq!(copied(&mut spool, end - 5, 5), &bytes[2 * at - 5..2 * at]);
        assert_eq!(open(&spool), [false, false, false]);
    }

    #[test]
    fn thousands_of_layers_share_some_hundred_files() {
        let dir = Arc::new(SpoolDir::new(std::env::temp_dir()));
        let mut spools = Vec::new();
        for number in 0..4096_u32 {
            let mut spool = Spool::new(Arc::clone(&dir));
            spool.write(&number.to_le_bytes()).unwrap();
            spool.want(0, 4);
            spools.push(spool);
        }
        assert!(lock(&dir.current).files < 300, "{:?}", dir.current);
        for (number, spool) in (0_u32..).zip(&mut spools) {
            assert_eq!(copied(spool, 0, 4), number.to_le_bytes());
        }
    }
}
