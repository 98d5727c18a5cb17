use std::io;
use std::mem;

use super::write_behind::Late;
use super::{BLOCK_SIZE, Error, Target};

/// Bytes gathered before they are written.
const GATHER: usize = 1 << 20;

/// The target, seen as the file system's own bytes: neighbouring writes are joined into large ones.
#[derive(Debug)]
pub(super) struct Disk<T> {
    target: T,
    /// Where the file system starts in the target.
    base: u64,
    pending: Vec<u8>,
    /// Where `pending` goes, in bytes of the file system.
    pending_at: u64,
    discard: bool,
}

impl<T: Target> Disk<T> {
    pub(super) fn new(target: T, base: u64) -> Self {
        Self { target, base, pending: Vec::new(), pending_at: 0, discard: false }
    }

    /// From now on nothing is written: the image is too small, and only its size is still of interest.
    pub(super) fn discard(&mut self) {
        self.discard = true;
        self.pending = Vec::new();
    }

    /// Writes whole blocks.
    pub(super) fn write_blocks(&mut self, block: u32, data: &[u8]) -> Result<(), Error> {
        self.write(byte(block), data)
    }

    /// Writes a block where zeros stand already.
    pub(super) fn write_unless_zero(&mut self, block: u32, data: &[u8]) -> Result<(), Error> {
        if data.iter().all(|&byte| byte == 0) { Ok(()) } else { self.write_blocks(block, data) }
    }

    /// Writes bytes, now or with those that follow.
    pub(super) fn write(&mut self, mut offset: u64, mut data: &[u8]) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        if offset.checked_sub(self.pending_at) != Some(self.pending.len() as u64) {
            self.flush()?;
        }
        while !data.is_empty() {
            if self.pending.is_empty() {
                self.pending.reserve_exact(GATHER);
                self.pending_at = offset;
            }
            let (now, rest) = data.split_at(data.len().min(GATHER - self.pending.len()));
            self.pending.extend_from_slice(now);
            (offset, data) = (offset + now.len() as u64, rest);
            if self.pending.len() == GATHER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Everything is handed over: waits until it is written.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.target.finish().map_err(|source| failed(self.base, 0, source))
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let offset = self.base.saturating_add(self.pending_at);
        let buffer = mem::take(&mut self.pending);
        let len = buffer.len() as u64;
        self.pending = self.target.write_buffer(buffer, offset).map_err(|source| failed(offset, len, source))?;
        Ok(())
    }

    /// See [`Target::clear`]. In bytes of the file system.
    pub(super) fn clear(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        self.flush()?;
        let offset = self.base.saturating_add(offset);
        self.target.clear(offset, len).map_err(|source| failed(offset, len, source))
    }

    /// See [`Target::punch`]. In bytes of the file system.
    pub(super) fn punch(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        self.flush()?;
        let offset = self.base.saturating_add(offset);
        self.target.punch(offset, len).map_err(|source| failed(offset, len, source))
    }

    /// Everything but the primary superblock is written: makes the target so long that it holds `len` bytes of file
    /// system, and orders what comes after.
    pub(super) fn settle(&mut self, len: u64) -> Result<(), Error> {
        self.flush()?;
        let offset = self.base.saturating_add(len);
        self.target.extend_to(offset).map_err(|source| failed(offset, 0, source))?;
        self.target.barrier().map_err(|source| failed(offset, 0, source))
    }
}

/// The byte where a block starts.
pub(super) fn byte(block: u32) -> u64 {
    u64::from(block) * u64::from(BLOCK_SIZE)
}

/// The error with the place where it happened, which may be that of an earlier write.
fn failed(offset: u64, len: u64, source: io::Error) -> Error {
    match source.downcast::<Late>() {
        Ok(Late { offset, len, source }) => Error::Write { offset, len, source },
        Err(source) => Error::Write { offset, len, source },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

    use super::*;

    #[test]
    fn writes_land_where_they_belong_behind_the_offset() {
        let mut image = vec![7; 10];
        let mut disk = Disk::new(&mut image, 10);
        disk.write(0, b"ab").unwrap();
        disk.write(2, b"cd").unwrap();
        disk.write(6, b"ef").unwrap();
        disk.write(4, &[b'x'; 1]).unwrap();
        disk.settle(9).unwrap();
        assert_eq!(image, b"\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07abcdx\0ef\0");
    }

    #[test]
    fn after_discard_nothing_is_written() {
        let mut image = Vec::new();
        let mut disk = Disk::new(&mut image, 0);
        disk.write(0, b"ab").unwrap();
        disk.discard();
        disk.write(2, &[1; GATHER]).unwrap();
        disk.flush().unwrap();
        assert!(image.is_empty());
    }
}
