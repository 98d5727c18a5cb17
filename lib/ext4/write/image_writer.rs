use std::io::BufRead;

use crate::ext4::layout::block_group::{Cursor, Fixed, MAX_BLOCKS};
use crate::ext4::layout::demand::Size;
use crate::ext4::layout::file_data::Extent;
use crate::ext4::write::content::Content;
use crate::ext4::write::disk::Disk;
use crate::ext4::{BLOCK_SIZE, Error, FileData, Options, Target};

/// Writes one image. Content first, in any number of files; then [`finish`](Self::finish) with the tree.
#[derive(Debug)]
pub struct ImageWriter<T> {
    pub(crate) disk: Disk<T>,
    pub(crate) options: Options,
    pub(crate) size: Option<Size>,
    pub(crate) fixed: Fixed,
    pub(crate) cursor: Cursor,
    /// Blocks handed out for content.
    pub(crate) content: u64,
}

/// What became of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Size of the image in bytes: the size asked for, else that of the file system.
    pub bytes: u64,
    /// Size of the file system in blocks of 4096 bytes.
    pub blocks: u64,
    /// Blocks that are free, those reserved for root included.
    pub free_blocks: u64,
    /// Inodes, used or not.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
    /// The UUID.
    pub uuid: [u8; 16],
    /// The volume label.
    pub label: Vec<u8>,
}

impl<T: Target> ImageWriter<T> {
    /// Begins an image. The target's first block becomes zero, so that no older file system is found there while the
    /// new one is not whole.
    ///
    /// # Errors
    /// [`Error::Option`] when an option is out of range, [`Error::ImageTooLarge`], [`Error::Write`].
    pub fn new(target: T, options: &Options) -> Result<Self, Error> {
        options.check()?;
        let (fixed, size) = match options.size {
            None => (Fixed::growing(), None),
            Some(bytes) => {
                // 16 TiB is one block more than can be counted; as mke2fs does, leave that one out.
                let blocks = bytes / u64::from(BLOCK_SIZE);
                if blocks > MAX_BLOCKS + 1 {
                    return Err(Error::ImageTooLarge);
                }
                let (fixed, blocks) = Fixed::for_blocks(blocks);
                (fixed, Some(Size { bytes, blocks }))
            }
        };
        let mut disk = Disk::new(target, options.offset);
        if size.is_none_or(|size| size.blocks > 0) {
            disk.clear(0, BLOCK_SIZE.into())?;
        }
        Ok(Self { disk, options: options.clone(), size, fixed, cursor: Cursor::new(fixed), content: 0 })
    }

    /// Says where the content that follows comes from. It is written later than it is taken, so that an error of one
    /// file may come with a call for another: [`Error::Write`] names this origin.
    pub fn set_origin(&mut self, name: &[u8], offset: u64) {
        self.disk.set_origin(name, offset);
    }

    /// Writes a file's content: `size` bytes of `input`. Blocks of zeros become holes (rule E7).
    ///
    /// # Errors
    /// [`Error::Input`], [`Error::InputCut`], [`Error::Write`], [`Error::FileTooLarge`], [`Error::ImageTooLarge`],
    /// [`Error::GrowthBound`]. When a given image size is exceeded the content is read and counted, and
    /// [`finish`](Self::finish) tells how much space is needed; [`Error::FarTooSmall`] when that goes too far.
    pub fn write_data(&mut self, input: &mut impl BufRead, size: u64) -> Result<FileData, Error> {
        self.write_sparse(input, size, [(0, size)])
    }

    /// Writes a sparse file's content: `input` holds the bytes of the data segments (offset and length in bytes)
    /// one after the other; all else of the file's `size` is hole.
    ///
    /// # Errors
    /// As [`write_data`](Self::write_data), and [`Error::Segment`].
    pub fn write_sparse(
        &mut self,
        input: &mut impl BufRead,
        size: u64,
        segments: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<FileData, Error> {
        let mut content = Content::new(self, size)?;
        for (offset, len) in segments {
            content.segment(input, offset, len)?;
        }
        content.finish()
    }

    /// The next blocks for content: the first, and how many of those wanted follow each other.
    pub(crate) fn take(&mut self, want: u64) -> Result<(u32, u32), Error> {
        let (start, len) = self.cursor.take(want);
        self.content += len;
        let end = start + len;
        match self.size {
            None if end > self.fixed.limit() => {
                return Err(Error::GrowthBound { limit: self.fixed.limit() * u64::from(BLOCK_SIZE) });
            }
            Some(size) if end > size.blocks => {
                self.disk.discard();
                if end > counted_up_to(size.blocks) {
                    let more_than = counted_up_to(size.blocks) * u64::from(BLOCK_SIZE);
                    return Err(Error::FarTooSmall { size: size.bytes, more_than });
                }
            }
            _ => {}
        }
        let number = |block| u32::try_from(block).map_err(|_| Error::ImageTooLarge);
        if end > MAX_BLOCKS {
            return Err(Error::ImageTooLarge);
        }
        Ok((number(start)?, number(len)?))
    }

    /// Places whole blocks behind those that `file` has.
    pub(crate) fn append(&mut self, file: &mut FileData, mut blocks: &[u8]) -> Result<(), Error> {
        let unit = BLOCK_SIZE as usize;
        let mut logical = file.extents().last().map_or(0, |last| last.logical + last.len);
        while !blocks.is_empty() {
            let (start, len) = self.take((blocks.len() / unit) as u64)?;
            let (now, rest) = blocks.split_at(len as usize * unit);
            self.disk.write_blocks(start, now)?;
            file.push(Extent { logical, start, len });
            logical += len;
            blocks = rest;
        }
        Ok(())
    }
}

/// How far content that does not fit into an image of `blocks` blocks is read on, in blocks, to name the size it needs:
/// 16 times the image, at least 16 GiB. A bomb is not worth hours of decompression for the sake of a number.
fn counted_up_to(blocks: u64) -> u64 {
    const LEAST: u64 = (16 << 30) / BLOCK_SIZE as u64;
    blocks.saturating_mul(16).max(LEAST)
}
