//! Writes the content of a file.

use std::io::BufRead;

use crate::ext4::error::Error;
use crate::ext4::layout::file_data::{FileData, MAX_SIZE};
use crate::ext4::number::{BLOCK, exact};
use crate::ext4::write::block_writer::BlockWriter;
use crate::ext4::write::target::Target;
use crate::relay::{fill, fitting};

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes the content of a file: divides it into blocks and leaves out those of zeros.
pub(crate) struct ContentWriter<'w, T> {
    image: &'w mut BlockWriter<T>,
    /// Store zeros instead of making them holes.
    no_sparse: bool,
    file: FileData,
    /// The number of the file's block that `partial` belongs to.
    logical: u64,
    /// An incomplete block, with zeros after `filled`.
    partial: [u8; BLOCK],
    filled: usize,
    /// The end of the last segment, as an offset in the file.
    end: u64,
}

impl<'w, T: Target> ContentWriter<'w, T> {
    pub(crate) fn new(image: &'w mut BlockWriter<T>, size: u64, no_sparse: bool) -> Result<Self, Error> {
        if size > MAX_SIZE {
            return Err(Error::FileTooLarge { size });
        }
        Ok(Self { image, no_sparse, file: FileData::hole(size), logical: 0, partial: ZEROS, filled: 0, end: 0 })
    }

    /// Takes `len` bytes of `input` as the content of the file from `offset` on.
    pub(crate) fn segment(&mut self, input: &mut impl BufRead, offset: u64, len: u64) -> Result<(), Error> {
        let end = offset.checked_add(len).filter(|&end| offset >= self.end && end <= self.file.size());
        let Some(end) = end else { return Err(Error::Segment { offset, len }) };
        self.end = end;
        let block = offset / BLOCK as u64;
        if block != self.logical {
            self.end_block()?;
            self.logical = block;
        }
        // Between segments in the same block, the buffer is zero already.
        self.filled = exact(offset % BLOCK as u64);

        let mut left = len;
        while left > 0 {
            let got = fill(input).map_err(Error::Input)?;
            if got.is_empty() {
                return Err(Error::InputCut { missing: left });
            }
            let used = fitting(left, got.len());
            self.bytes(&got[..used])?;
            input.consume(used);
            left -= used as u64;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FileData, Error> {
        self.end_block()?;
        Ok(self.file)
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        if self.filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.partial[self.filled..self.filled + head.len()].copy_from_slice(head);
            self.filled += head.len();
            bytes = rest;
            if self.filled < BLOCK {
                return Ok(());
            }
            self.end_block()?;
        }
        let (whole, rest) = bytes.split_at(bytes.len() / BLOCK * BLOCK);
        self.whole_blocks(whole)?;
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
        Ok(())
    }

    /// Completes the partial block with zeros.
    fn end_block(&mut self) -> Result<(), Error> {
        if self.filled > 0 {
            let block = self.partial;
            self.whole_blocks(&block)?;
            self.partial = ZEROS;
            self.filled = 0;
        }
        Ok(())
    }

    fn whole_blocks(&mut self, blocks: &[u8]) -> Result<(), Error> {
        if self.no_sparse {
            return self.store(blocks);
        }
        let mut rest = blocks;
        while !rest.is_empty() {
            let data = rest.chunks_exact(BLOCK).take_while(|block| *block != ZEROS).count();
            let (stored, after) = rest.split_at(data * BLOCK);
            self.store(stored)?;
            let zeros = after.chunks_exact(BLOCK).take_while(|block| *block == ZEROS).count();
            self.logical += zeros as u64;
            rest = &after[zeros * BLOCK..];
        }
        Ok(())
    }

    fn store(&mut self, blocks: &[u8]) -> Result<(), Error> {
        if blocks.is_empty() {
            return Ok(());
        }
        // The file's size has been checked, so block numbers fit into 32 bits.
        let logical = u32::try_from(self.logical).map_err(|_| Error::FileTooLarge { size: self.file.size() })?;
        self.logical = self.image.store(&mut self.file, logical, blocks)?.into();
        Ok(())
    }
}
