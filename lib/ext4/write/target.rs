//! The targets of an image.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::sys::{punch, zero};

use crate::relay::PageBuffer;

/// The target of an image. Offsets are in bytes from the start of the target.
pub trait Target {
    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// As the underlying device reports them.
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all of `buffer` at `offset`, now or at the latest before the next call of another method; returns an
    /// empty buffer to fill.
    ///
    /// # Errors
    /// As the underlying device reports them, for this write or an earlier one.
    fn write_buffer(&mut self, mut buffer: PageBuffer, offset: u64) -> io::Result<PageBuffer> {
        self.write_at(&buffer, offset)?;
        buffer.clear();
        Ok(buffer)
    }

    /// The last call: waits for what [`write_buffer`](Self::write_buffer) deferred. If old content could reappear after
    /// a lost write, everything is on the disk when this succeeds.
    ///
    /// # Errors
    /// As the underlying device reports them.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Makes a range that has not been written yet read as zeros.
    ///
    /// # Errors
    /// As the underlying device reports them.
    fn clear(&mut self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes a range that was written, but is not needed, read as zeros again.
    ///
    /// # Errors
    /// As the underlying device reports them.
    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes the target at least `len` bytes long.
    ///
    /// # Errors
    /// As the underlying device reports them.
    fn extend_to(&mut self, len: u64) -> io::Result<()>;

    /// Called after the place of the primary superblock is cleared, and before it is written: earlier writes must reach
    /// the disk first if an interrupted run could otherwise look like a file system (rule S2).
    ///
    /// # Errors
    /// As the underlying device reports them.
    fn barrier(&mut self) -> io::Result<()>;
}

/// A new, empty file that nobody sees before it is complete: unwritten ranges are holes and read as zeros.
#[derive(Debug)]
pub struct FreshFile(pub File);

impl Target for FreshFile {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn clear(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
        punch(&self.0, offset, len)
    }

    fn extend_to(&mut self, len: u64) -> io::Result<()> {
        if self.0.metadata()?.len() < len { self.0.set_len(len) } else { Ok(()) }
    }

    fn barrier(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block device or part of an existing disk image: it has old content, and other parts must not be touched.
#[derive(Debug)]
pub struct InPlace(pub File);

impl Target for InPlace {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn clear(&mut self, offset: u64, len: u64) -> io::Result<()> {
        zero(&self.0, offset, len)
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
        punch(&self.0, offset, len)
    }

    fn extend_to(&mut self, len: u64) -> io::Result<()> {
        let meta = self.0.metadata()?;
        if meta.is_file() && meta.len() < len { self.0.set_len(len) } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn barrier(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// An image in memory.
impl Target for Vec<u8> {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(data.len()).ok_or_else(|| io::Error::other("image too large for memory"))?;
        if self.len() < end {
            self.resize(end, 0);
        }
        self[start..end].copy_from_slice(data);
        Ok(())
    }

    fn clear(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.punch(offset, len)
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let size = self.len();
        let start = usize::try_from(offset).map_err(io::Error::other)?.min(size);
        let end = usize::try_from(offset.saturating_add(len)).map_err(io::Error::other)?.min(size);
        self[start..end].fill(0);
        Ok(())
    }

    fn extend_to(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        if self.len() < len {
            self.resize(len, 0);
        }
        Ok(())
    }

    fn barrier(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Target + ?Sized> Target for &mut T {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_at(data, offset)
    }

    fn write_buffer(&mut self, buffer: PageBuffer, offset: u64) -> io::Result<PageBuffer> {
        (**self).write_buffer(buffer, offset)
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn clear(&mut self, offset: u64, len: u64) -> io::Result<()> {
        (**self).clear(offset, len)
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
        (**self).punch(offset, len)
    }

    fn extend_to(&mut self, len: u64) -> io::Result<()> {
        (**self).extend_to(len)
    }

    fn barrier(&mut self) -> io::Result<()> {
        (**self).barrier()
    }
}
