use super::{BLOCK_SIZE, Error, Target};

/// Bytes gathered before they are written.
const GATHER: usize = 1 << 20;
/// Writes of at least this many bytes are not copied first.
const DIRECT: usize = 128 << 10;

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
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        let continues = offset.checked_sub(self.pending_at) == Some(self.pending.len() as u64);
        if !continues || data.len() >= DIRECT || self.pending.len() + data.len() > GATHER {
            self.flush()?;
            if data.len() >= DIRECT {
                return write_out(&mut self.target, self.base, offset, data);
            }
            self.pending.reserve_exact(GATHER);
            self.pending_at = offset;
        }
        self.pending.extend_from_slice(data);
        Ok(())
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if !self.pending.is_empty() {
            write_out(&mut self.target, self.base, self.pending_at, &self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    /// See [`Target::clear`]. In bytes of the file system.
    pub(super) fn clear(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        self.flush()?;
        let offset = self.base.saturating_add(offset);
        self.target.clear(offset, len).map_err(|source| Error::Write { offset, len, source })
    }

    /// See [`Target::punch`]. In bytes of the file system.
    pub(super) fn punch(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        self.flush()?;
        let offset = self.base.saturating_add(offset);
        self.target.punch(offset, len).map_err(|source| Error::Write { offset, len, source })
    }

    /// Everything but the primary superblock is written: makes the target so long that it holds `len` bytes of file
    /// system, and orders what comes after.
    pub(super) fn settle(&mut self, len: u64) -> Result<(), Error> {
        self.flush()?;
        let offset = self.base.saturating_add(len);
        let failed = |source| Error::Write { offset, len: 0, source };
        self.target.extend_to(offset).map_err(failed)?;
        self.target.barrier().map_err(failed)
    }
}

/// The byte where a block starts.
pub(super) fn byte(block: u32) -> u64 {
    u64::from(block) * u64::from(BLOCK_SIZE)
}

fn write_out<T: Target>(target: &mut T, base: u64, offset: u64, data: &[u8]) -> Result<(), Error> {
    let offset = base.saturating_add(offset);
    target.write_at(data, offset).map_err(|source| Error::Write { offset, len: data.len() as u64, source })
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
        disk.write(2, &[1; DIRECT]).unwrap();
        disk.flush().unwrap();
        assert!(image.is_empty());
    }
}
