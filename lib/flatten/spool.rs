//! Spool files: decoded layers in files that only this process can see, and that vanish with it however it ends.
//!
//! A layer's spool is divided into regions of files that all layers share. A file is closed, and its pages are freed,
//! as soon as the last wanted byte of its regions is written out: the result then takes over the memory of the spool,
//! and little of the spool ever reaches a disk. Punching holes would not do, because pages that sendfile(2) has put
//! into a pipe change with their file; pages of a closed file stay as they are.
//!
//! The first files have one region each. Later ones have more, so that even a terabyte or thousands of layers take only a
//! few hundred open files; the unwritten part of a region is a hole. Runs of zeros are not written at all, because a few
//! kilobytes of a compressed layer can stand for any number of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::LayerError;
use super::output::{CopyError, TarOutput};
use crate::relay::fitting;
use crate::sys::locked;

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

    /// Room for a new region: a file, and the offset in it.
    fn room(&self) -> Result<(Arc<File>, u64), LayerError> {
        let mut current = locked(&self.current);
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
        Ok((file, offset))
    }

    fn error(&self, source: io::Error) -> LayerError {
        LayerError::Spool { dir: self.dir.clone(), source }
    }
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
    /// None as long as all its bytes are zeros. Closed when its content is no longer wanted.
    file: Option<Arc<File>>,
    /// Its offset in the file.
    offset: u64,
    /// How many of its bytes are covered by what was written to the file; the rest are zeros.
    written: u64,
    /// How many of its bytes are still to be written out.
    wanted: u64,
}

impl Region {
    /// An empty region for a layer's bytes from `start` on.
    fn new(start: u64) -> Self {
        Self { start, limit: start.saturating_add(REGION), file: None, offset: 0, written: 0, wanted: 0 }
    }
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
                self.regions.push(Region::new(self.end));
            }
            let Some(region) = self.regions.last_mut() else { return Ok(()) };
            let (now, rest) = bytes.split_at(fitting(region.limit - self.end, bytes.len()));
            let at = self.end - region.start;
            self.end += now.len() as u64;
            bytes = rest;
            if is_zeros(now) {
                continue;
            }
            let file = match &region.file {
                Some(file) => file,
                None => {
                    let (file, offset) = self.dir.room()?;
                    region.offset = offset;
                    region.file.insert(file)
                }
            };
            file.write_all_at(now, region.offset + at).map_err(|source| self.dir.error(source))?;
            region.written = at + now.len() as u64;
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
        for (region, at, len) in pieces(&mut self.regions, at, len) {
            let stored = region.written.saturating_sub(at).min(len);
            match &region.file {
                Some(file) => out.copy(file, region.offset + at, stored)?,
                None if stored == 0 => {}
                None => break,
            }
            out.write_zeros(len - stored).map_err(CopyError::Write)?;
            copied += len;
            region.wanted = region.wanted.saturating_sub(len);
            if region.wanted == 0 {
                region.file = None;
            }
        }
        if copied == len { Ok(()) } else { Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into())) }
    }
}

/// Whether there are only zeros: the first byte is one, and each byte is the same as the one before.
fn is_zeros(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1])
}

/// The regions that hold a range, each with the offset of its part in the region and the length of its part.
fn pieces(regions: &mut [Region], at: u64, len: u64) -> impl Iterator<Item = (&mut Region, u64, u64)> {
    let end = at.saturating_add(len);
    let first = regions.partition_point(|region| region.limit <= at);
    regions[first..].iter_mut().take_while(move |region| region.start < end).map(move |region| {
        let start = region.start.max(at);
        let len = region.limit.min(end) - start;
        let at = start - region.start;
        (region, at, len)
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
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

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

    #[test]
    fn zeros_take_no_room_and_come_out_again() {
        let dir = Arc::new(SpoolDir::new(std::env::temp_dir()));
        let mut spool = Spool::new(Arc::clone(&dir));
        let piece = vec![0; 1 << 20];
        for _ in 0..REGION * 3 / (1 << 20) {
            spool.write(&piece).unwrap();
        }
        assert_eq!(locked(&dir.current).files, 0);
        spool.write(b"x").unwrap();
        spool.write(&piece).unwrap();
        let end = REGION * 3;
        for (at, len) in [(10, 20), (end - 5, 10), (end + 100, 1000)] {
            spool.want(at, len);
        }
        spool.trim();
        assert_eq!(copied(&mut spool, 10, 20), [0; 20]);
        assert_eq!(copied(&mut spool, end - 5, 10), *b"\0\0\0\0\0x\0\0\0\0");
        assert_eq!(copied(&mut spool, end + 100, 1000), [0; 1000]);
        let on_disk = spool.regions.iter().filter(|region| region.written > 0).count();
        assert_eq!((on_disk, spool.regions[3].written), (1, 1));
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
        assert!(locked(&dir.current).files < 300, "{:?}", dir.current);
        for (number, spool) in (0_u32..).zip(&mut spools) {
            assert_eq!(copied(spool, 0, 4), number.to_le_bytes());
        }
    }
}
