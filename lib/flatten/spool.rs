//! Spool files: decoded layers that nobody but us can see, gone when we are, however we end.
//!
//! A layer's spool is cut into parts, each a file of its own, so that its pages can be given back as soon as the last
//! byte of a part that anyone wants is written out: the result then takes the place in memory that the spool had,
//! and little of the spool ever reaches a disk. Punching holes would not do, because pages that sendfile(2) has put into
//! a pipe change with the file that they came from; pages of a closed file stay as they are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::LayerError;
use super::output::{CopyError, Output};

/// Bytes of a part, a multiple of what is written at once.
const PART: u64 = 32 << 20;
/// After so many parts of all layers they are twice as large: a terabyte takes some 500 open files.
const PARTS: u32 = 32;

/// Where all spools of a run are.
#[derive(Debug)]
pub(super) struct Room {
    dir: PathBuf,
    parts: AtomicU32,
}

impl Room {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, parts: AtomicU32::new(0) }
    }

    /// A new, empty part that starts at `start`.
    fn part(&self, start: u64) -> Result<Part, LayerError> {
        // With O_TMPFILE it never has a name; elsewhere it loses it at once.
        let file = tempfile::tempfile_in(&self.dir).map_err(|source| self.error(source))?;
        let doublings = (self.parts.fetch_add(1, Ordering::Relaxed) / PARTS).min(20);
        Ok(Part { start, limit: start.saturating_add(PART << doublings), file: Some(file), wanted: 0 })
    }

    fn error(&self, source: io::Error) -> LayerError {
        LayerError::Spool { dir: self.dir.clone(), source }
    }
}

/// One decoded layer.
#[derive(Debug)]
pub(super) struct Spool {
    room: Arc<Room>,
    parts: Vec<Part>,
    end: u64,
}

#[derive(Debug)]
struct Part {
    /// The bytes of the layer that it has place for.
    start: u64,
    limit: u64,
    /// Gone when nobody wants what it held.
    file: Option<File>,
    /// Bytes that are still to be written out.
    wanted: u64,
}

impl Spool {
    /// A spool without a file; those are made as bytes come.
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, parts: Vec::new(), end: 0 }
    }

    /// Adds bytes at the end.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            if self.parts.last().is_none_or(|part| part.limit == self.end) {
                self.parts.push(self.room.part(self.end)?);
            }
            let Some(Part { start, limit, file: Some(file), .. }) = self.parts.last() else { return Ok(()) };
            let room = usize::try_from(limit - self.end).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            file.write_all_at(now, self.end - start).map_err(|source| self.room.error(source))?;
            self.end += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Says that [`Spool::copy`] will be called for these bytes, once.
    pub(super) fn want(&mut self, at: u64, len: u64) {
        for (part, _, len) in pieces(&mut self.parts, at, len) {
            part.wanted += len;
        }
    }

    /// Gives back what nobody wants.
    pub(super) fn trim(&mut self) {
        for part in self.parts.iter_mut().filter(|part| part.wanted == 0) {
            part.file = None;
        }
    }

    /// Writes `len` bytes from `at` on out, and gives back what nobody wants any more.
    pub(super) fn copy(&mut self, at: u64, len: u64, out: &mut Output<'_>) -> Result<(), CopyError> {
        let mut copied = 0;
        for (part, offset, len) in pieces(&mut self.parts, at, len) {
            let Some(file) = &part.file else { break };
            out.copy(file, offset, len)?;
            copied += len;
            part.wanted = part.wanted.saturating_sub(len);
            if part.wanted == 0 {
                part.file = None;
            }
        }
        if copied == len { Ok(()) } else { Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into())) }
    }
}

/// The parts that hold a range, each with the offset in its file and the length of its piece.
fn pieces(parts: &mut [Part], at: u64, len: u64) -> impl Iterator<Item = (&mut Part, u64, u64)> {
    let end = at.saturating_add(len);
    let first = parts.partition_point(|part| part.limit <= at);
    parts[first..].iter_mut().take_while(move |part| part.start < end).map(move |part| {
        let start = part.start.max(at);
        let len = part.limit.min(end) - start;
        let offset = start - part.start;
        (part, offset, len)
    })
}

/// Where spool files go: `asked` (--tmpdir), else `TMPDIR`, else /var/tmp, which is meant for large files, else /tmp.
pub(super) fn directory(asked: Option<&Path>) -> PathBuf {
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

    /// A spool with parts of `PART` bytes, filled with a pattern.
    fn filled(parts: u64) -> (Spool, Vec<u8>) {
        let mut spool = Spool::new(Arc::new(Room::new(std::env::temp_dir())));
        let bytes: Vec<u8> = (0..PART * parts).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for piece in bytes.chunks(1_000_003) {
            spool.write(piece).unwrap();
        }
        (spool, bytes)
    }

    fn copied(spool: &mut Spool, at: u64, len: u64) -> Vec<u8> {
        let mut got = Vec::new();
        let mut out = Output::to_writer(&mut got);
        assert!(spool.copy(at, len, &mut out).is_ok());
        out.flush().unwrap();
        drop(out);
        got
    }

    #[test]
    fn parts_go_when_the_last_wanted_byte_is_out() {
        let (mut spool, bytes) = filled(3);
        let (border, end) = (PART, PART * 2);
        spool.want(border - 10, 30);
        spool.want(end - 5, 5);
        spool.trim();
        let open = |spool: &Spool| spool.parts.iter().map(|part| part.file.is_some()).collect::<Vec<_>>();
        assert_eq!(open(&spool), [true, true, false]);
        let at = usize::try_from(border).unwrap();
        assert_eq!(copied(&mut spool, border - 10, 30), &bytes[at - 10..at + 20]);
        assert_eq!(open(&spool), [false, true, false]);
        assert_eq!(copied(&mut spool, end - 5, 5), &bytes[2 * at - 5..2 * at]);
        assert_eq!(open(&spool), [false, false, false]);
    }
}
