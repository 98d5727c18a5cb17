//! Hash trees over files and devices.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::parallel::{DataDevice, hash};
use super::superblock::{SUPERBLOCK_BYTES, Superblock};
use super::{BLOCK, BLOCK_BYTES, Hash};
use crate::sys;

/// How many bytes are gathered before they are written.
const GATHER: usize = 1 << 20;

/// A file from some offset on.
#[derive(Clone, Copy, Debug)]
pub struct FileFrom<'f> {
    /// The file or block device.
    pub file: &'f File,
    /// Where the part starts, in bytes.
    pub start: u64,
}

impl DataDevice for FileFrom<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, self.start.saturating_add(offset))
    }

    fn next_data(&self, offset: u64, end: u64) -> io::Result<Option<Range<u64>>> {
        let place = |at: u64| self.start.saturating_add(at);
        let found = sys::next_data(self.file, place(offset), place(end))?;
        Ok(found.map(|range| range.start - self.start..range.end - self.start))
    }
}

/// Hashes the data that `superblock` describes, and writes superblock and tree to `to`, the superblock last. If it replaces
/// old content (`in_place`), the tree is synced before the superblock is written, and that before this returns.
///
/// # Errors
/// As the files report them.
pub fn write_tree(data: FileFrom<'_>, to: FileFrom<'_>, superblock: &Superblock, in_place: bool) -> io::Result<Hash> {
    let tree = FileFrom { start: to.start.saturating_add(BLOCK_BYTES), ..to };
    if in_place {
        to.file.write_all_at(&[0; SUPERBLOCK_BYTES], to.start)?;
    }
    let mut gathered = Gathered { to: tree, bytes: Vec::with_capacity(GATHER), at: 0 };
    let root =
        hash(&data, superblock.data_blocks, &superblock.salt, |at, block, count| gathered.write(at, block, count))?;
    gathered.flush()?;
    if in_place {
        to.file.sync_data()?;
    }
    to.file.write_all_at(&superblock.encode(), to.start)?;
    if in_place {
        to.file.sync_data()?;
    }
    Ok(root)
}

/// Joins adjacent blocks.
struct Gathered<'f> {
    to: FileFrom<'f>,
    bytes: Vec<u8>,
    /// Where they go: an offset in the tree, in bytes.
    at: u64,
}

impl Gathered<'_> {
    fn write(&mut self, block: u64, bytes: &[u8; BLOCK], count: u64) -> io::Result<()> {
        if self.at + self.bytes.len() as u64 != block * BLOCK_BYTES {
            self.flush()?;
            self.at = block * BLOCK_BYTES;
        }
        let mut left = count;
        while left > 0 {
            if left >= (GATHER / BLOCK) as u64 && self.bytes.is_empty() {
                left -= self.repeat(bytes, left)?;
                continue;
            }
            self.bytes.extend_from_slice(bytes);
            left -= 1;
            if self.bytes.len() == GATHER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes as many of `count` copies as fill whole buffers; returns how many.
    fn repeat(&mut self, block: &[u8; BLOCK], count: u64) -> io::Result<u64> {
        let buffer = block.repeat(GATHER / BLOCK);
        let buffers = count / (GATHER / BLOCK) as u64;
        for _ in 0..buffers {
            self.to.file.write_all_at(&buffer, self.to.start.saturating_add(self.at))?;
            self.at += GATHER as u64;
        }
        Ok(buffers * (GATHER / BLOCK) as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.file.write_all_at(&self.bytes, self.to.start.saturating_add(self.at))?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}
