//! The writer as its callers see it.

use std::io::BufRead;

use crate::ext4::error::Error;
use crate::ext4::layout::file_data::FileData;
use crate::ext4::options::Options;
use crate::ext4::write::block_writer::BlockWriter;
use crate::ext4::write::content::ContentWriter;
use crate::ext4::write::target::Target;

/// Writes one image. Content first, in any number of files; then [`finish`](Self::finish) with the tree.
#[derive(Debug)]
pub struct ImageWriter<T> {
    pub(crate) blocks: BlockWriter<T>,
    pub(crate) options: Options,
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
    /// The seed of the directory hashes.
    pub hash_seed: [u8; 16],
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
        let blocks = BlockWriter::new(target, options)?;
        Ok(Self { blocks, options: options.clone() })
    }

    /// Says where the content that follows comes from. It is written later than it is taken, so that an error of one
    /// file may come with a call for another: [`Error::Write`] names this origin.
    pub fn set_origin(&mut self, name: &[u8], offset: u64) {
        self.blocks.disk.set_origin(name, offset);
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
        let mut content = ContentWriter::new(&mut self.blocks, size, self.options.no_sparse)?;
        for (offset, len) in segments {
            content.segment(input, offset, len)?;
        }
        content.finish()
    }
}
