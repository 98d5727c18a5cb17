use std::io::BufRead;

use super::{Error, FileData, FileTree, Identity, Options, Target};

/// Writes one image. Content first, in any number of files; then [`finish`](Self::finish) with the tree.
#[derive(Debug)]
pub struct ImageWriter<T> {
    target: T,
    options: Options,
}

/// What became of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Size of the file system in bytes.
    pub bytes: u64,
    /// Size in blocks of 4096 bytes.
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
    /// Begins an image.
    ///
    /// # Errors
    /// [`Error::Option`] when an option is out of range, [`Error::NoSpace`] when the size cannot even hold an empty
    /// tree, [`Error::Write`].
    pub fn new(target: T, options: &Options) -> Result<Self, Error> {
        Ok(Self { target, options: options.clone() })
    }

    /// Writes a file's content: `size` bytes of `input`. Blocks of zeros become holes (rule E7).
    ///
    /// # Errors
    /// [`Error::Input`], [`Error::InputCut`], [`Error::Write`], [`Error::FileTooLarge`], [`Error::ImageTooLarge`],
    /// [`Error::GrowthBound`]. When a given image size is exceeded the content is read and counted, and
    /// [`finish`](Self::finish) tells how much space is needed.
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
        _input: &mut impl BufRead,
        size: u64,
        _segments: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<FileData, Error> {
        Ok(FileData::hole(size))
    }

    /// Writes all the rest.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoInodes`], [`Error::ImageTooLarge`], [`Error::GrowthBound`]; [`Error::Inode`]
    /// for what ext4 cannot represent; [`Error::Tree`] when the tree breaks its contract; [`Error::Write`].
    pub fn finish(mut self, _tree: &impl FileTree, identity: &Identity) -> Result<Report, Error> {
        let bytes = self.options.size.unwrap_or_default();
        self.target.extend_to(bytes).map_err(|source| Error::Write { offset: 0, len: bytes, source })?;
        Ok(Report {
            bytes,
            blocks: bytes / 4096,
            free_blocks: 0,
            inodes: 0,
            free_inodes: 0,
            uuid: identity.uuid,
            label: self.options.label,
        })
    }
}
