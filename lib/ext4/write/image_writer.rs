//! The public interface of the writer.

use std::io::BufRead;

use crate::ext4::error::Error;
use crate::ext4::layout::file_data::FileData;
use crate::ext4::options::Options;
use crate::ext4::write::block_writer::BlockWriter;
use crate::ext4::write::content::ContentWriter;
use crate::ext4::write::target::Target;

/// Writes an image: first the content of any number of files, then [`finish`](Self::finish) with the tree.
#[derive(Debug)]
pub struct ImageWriter<T> {
    pub(crate) blocks: BlockWriter<T>,
    pub(crate) options: Options,
}

/// The properties of a finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The size of the image in bytes: the requested size, else that of the file system.
    pub bytes: u64,
    /// The size of the file system in blocks of 4096 bytes.
    pub blocks: u64,
    /// The number of free blocks, including those reserved for root.
    pub free_blocks: u64,
    /// The number of inodes, used or not.
    pub inodes: u64,
    /// The number of free inodes.
    pub free_inodes: u64,
    /// The UUID.
    pub uuid: [u8; 16],
    /// The seed of the directory hashes.
    pub hash_seed: [u8; 16],
    /// The volume label.
    pub label: Vec<u8>,
}

impl<T: Target> ImageWriter<T> {
    /// Begins an image. The target's first block is cleared, so that no older file system is found there until the new
    /// one is complete.
    ///
    /// # Errors
    /// [`Error::Option`] when an option is out of range, [`Error::ImageTooLarge`], [`Error::Write`].
    pub fn new(target: T, options: &Options) -> Result<Self, Error> {
        options.check()?;
        let blocks = BlockWriter::new(target, options)?;
        Ok(Self { blocks, options: options.clone() })
    }

    /// Sets the origin of the content that follows. Since content is written later than it is taken, the error of one
    /// file may be reported by a call for another: [`Error::Write`] contains this origin.
    pub fn set_origin(&mut self, name: &[u8], offset: u64) {
        self.blocks.disk.set_origin(name, offset);
    }

    /// Writes the content of a file: `size` bytes of `input`. Blocks of zeros become holes (rule E7).
    ///
    /// # Errors
    /// [`Error::Input`], [`Error::InputCut`], [`Error::Write`], [`Error::FileTooLarge`], [`Error::ImageTooLarge`],
    /// [`Error::GrowthBound`]. If a requested image size is exceeded, content is still read and counted, so that
    /// [`finish`](Self::finish) can report how much space is needed; [`Error::FarTooSmall`] when that goes too far.
    pub fn write_data(&mut self, input: &mut impl BufRead, size: u64) -> Result<FileData, Error> {
        self.write_sparse(input, size, [(0, size)])
    }

    /// Writes the content of a sparse file: `input` holds the bytes of the data segments (offset and length in bytes)
    /// one after the other; the rest of `size` is a hole.
    ///
    /// # Errors
    /// As [`write_data`](Self::write_data), and [`Error::Segment`].
    pub fn write_sparse(
        &mut self,
        input: &mut impl BufRead,
        size: u64,
        segments: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<FileData, Error> {
        let mut content = ContentWriter::new(&mut self.blocks, size, self.options.no_sparse)?;
        for (offset, len) in segments {
            content.segment(input, offset, len)?;
        }
        content.finish()
    }
}
