//! The target, addressed by offsets in the file system.

use std::collections::VecDeque;
use std::io;
use std::mem;

use crate::ext4::error::{Error, Origin};
use crate::ext4::number::BlockNumber;
use crate::ext4::write::target::Target;
use crate::ext4::write::write_behind::{BUFFERS, DeferredError};
use crate::relay::PageBuffer;

/// How many bytes are gathered before they are written.
const GATHER: usize = 1 << 20;
/// Pieces of at least this size are written at once and from where they are: copying them and passing them to another
/// processor costs more than waiting.
const LARGE: usize = 64 << 10;
/// The target, addressed by offsets in the file system; adjacent writes are joined into large ones.
#[derive(Debug)]
pub(crate) struct Disk<T> {
    target: T,
    /// The offset of the file system in the target.
    base: u64,
    pending: PageBuffer,
    /// The offset of `pending` in the file system.
    pending_at: u64,
    /// The origin of what is being written, if it is content.
    origin: Option<Origin>,
    /// The origin of the first byte of `pending`.
    pending_from: Option<Origin>,
    /// The offsets in the target and the origins of the last buffers.
    handed_over: VecDeque<(u64, Option<Origin>)>,
    discard: bool,
}

impl<T: Target> Disk<T> {
    pub(crate) fn new(target: T, base: u64) -> Self {
        Self {
            target,
            base,
            pending: PageBuffer::default(),
            pending_at: 0,
            origin: None,
            pending_from: None,
            handed_over: VecDeque::new(),
            discard: false,
        }
    }

    /// See [`ImageWriter::set_origin`](crate::ext4::ImageWriter::set_origin).
    pub(crate) fn set_origin(&mut self, name: &[u8], offset: u64) {
        let origin = self.origin.get_or_insert_default();
        origin.name.clear();
        origin.name.extend_from_slice(name);
        origin.offset = offset;
    }

    /// Ends the content; only metadata follows.
    pub(crate) fn end_content(&mut self) -> Result<(), Error> {
        self.origin = None;
        self.flush()
    }

    /// Stops writing, because the image is too small and only the size needed is still of interest.
    pub(crate) fn discard(&mut self) {
        self.discard = true;
        self.pending = PageBuffer::default();
    }

    /// Writes whole blocks.
    pub(crate) fn write_blocks(&mut self, block: BlockNumber, data: &[u8]) -> Result<(), Error> {
        self.write(block.byte(), data)
    }

    /// Writes a block to a place that is already zero.
    pub(crate) fn write_unless_zero(&mut self, block: BlockNumber, data: &[u8]) -> Result<(), Error> {
        if data.iter().all(|&byte| byte == 0) { Ok(()) } else { self.write_blocks(block, data) }
    }

    /// Writes bytes, now or together with later ones.
    pub(crate) fn write(&mut self, mut offset: u64, mut data: &[u8]) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        if data.len() >= LARGE {
            self.flush()?;
            let offset = self.base.saturating_add(offset);
            let written = self.target.write_at(data, offset);
            return written.map_err(|source| self.failed(offset, data.len() as u64, self.origin.as_ref(), source));
        }
        if offset.checked_sub(self.pending_at) != Some(self.pending.len() as u64) {
            self.flush()?;
        }
        while !data.is_empty() {
            if self.pending.is_empty() {
                self.pending.reset(GATHER);
                self.pending_at = offset;
                self.pending_from.clone_from(&self.origin);
            }
            let taken = self.pending.push(data);
            (offset, data) = (offset + taken as u64, &data[taken..]);
            if self.pending.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// After the last write, waits until everything is written.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.target.finish().map_err(|source| self.failed(self.base, 0, None, source))
    }

    /// Writes what has been gathered.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let offset = self.base.saturating_add(self.pending_at);
        let buffer = mem::take(&mut self.pending);
        let len = buffer.len() as u64;
        if self.handed_over.len() == BUFFERS {
            self.handed_over.pop_front();
        }
        self.handed_over.push_back((offset, self.pending_from.take()));
        let written = self.target.write_buffer(buffer, offset);
        self.pending = written.map_err(|source| {
            self.lost(source.downcast().unwrap_or_else(|source| DeferredError { offset, len, source }))
        })?;
        Ok(())
    }

    /// See [`Target::clear`]; `offset` is in the file system.
    pub(crate) fn clear(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        self.flush()?;
        let offset = self.base.saturating_add(offset);
        self.target.clear(offset, len).map_err(|source| self.failed(offset, len, None, source))
    }

    /// See [`Target::punch`]; `offset` is in the file system.
    pub(crate) fn punch(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        if self.discard {
            return Ok(());
        }
        self.flush()?;
        let offset = self.base.saturating_add(offset);
        self.target.punch(offset, len).map_err(|source| self.failed(offset, len, None, source))
    }

    /// Clears the first `len` bytes of the file system, and makes sure that this reaches the disk before anything else.
    pub(crate) fn clear_first(&mut self, len: u64) -> Result<(), Error> {
        self.clear(0, len)?;
        self.target.barrier().map_err(|source| self.failed(self.base, len, None, source))
    }

    /// When everything but the primary superblock is written, makes the target long enough for `len` bytes of file
    /// system, and makes sure that this reaches the disk before the superblock.
    pub(crate) fn settle(&mut self, len: u64) -> Result<(), Error> {
        self.flush()?;
        let offset = self.base.saturating_add(len);
        self.target.extend_to(offset).map_err(|source| self.failed(offset, 0, None, source))?;
        self.target.barrier().map_err(|source| self.failed(offset, 0, None, source))
    }

    /// The error of an immediate write, of content from `origin` if any, or of an earlier buffer.
    fn failed(&self, offset: u64, len: u64, origin: Option<&Origin>, source: io::Error) -> Error {
        match source.downcast::<DeferredError>() {
            Ok(late) => self.lost(late),
            Err(source) => Error::Write { offset, len, origin: origin.cloned().map(Box::new), source },
        }
    }

    /// The error of an earlier buffer, with the origin of its first byte.
    fn lost(&self, DeferredError { offset, len, source }: DeferredError) -> Error {
        let buffer = self.handed_over.iter().rev().find(|(start, _)| *start == offset);
        let origin = buffer.and_then(|(_, origin)| origin.clone()).map(Box::new);
        Error::Write { offset, len, origin, source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

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

    /// Takes no byte at or beyond this one.
    struct Short(u64);

    impl Target for Short {
        fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
            if offset + data.len() as u64 > self.0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn clear(&mut self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn punch(&mut self, _: u64, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn extend_to(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn barrier(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_late_error_names_the_content_that_its_buffer_began_with() {
        let gather = GATHER as u64;
        let target = crate::ext4::WriteBehind::new(Short(10 + 2 * gather)).unwrap();
        let mut disk = Disk::new(target, 10);
        let mut failed = None;
        let piece = LARGE / 2;
        let pieces = GATHER / piece;
        for number in 0..pieces * 4 {
            // Each file is half a buffer, so that the third buffer, the first that fails, begins with the fifth file.
            let file = u8::try_from(number / (pieces / 2)).unwrap();
            disk.set_origin(&[b'a' + file], u64::from(file) * 100);
            if let Err(error) = disk.write((number * piece) as u64, &vec![1; piece]) {
                failed = Some(error);
                break;
            }
        }
        let error = failed.or_else(|| disk.end_content().and_then(|()| disk.finish()).err()).unwrap();
        let Error::Write { offset, len, origin, .. } = error else { panic!("{error}") };
        assert_eq!((offset, len), (10 + 2 * gather, gather));
        assert_eq!(origin.as_deref(), Some(&Origin { name: b"e".to_vec(), offset: 400 }));
    }

    #[test]
    fn large_pieces_are_written_at_once_behind_what_was_gathered() {
        let mut image = Vec::new();
        let mut disk = Disk::new(&mut image, 0);
        disk.write(0, &[1; 10]).unwrap();
        disk.write(10, &[2; LARGE]).unwrap();
        assert_eq!(disk.target.len(), 10 + LARGE);
        disk.write(5, &[3; 10]).unwrap();
        disk.flush().unwrap();
        assert_eq!(image[..16], [1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2]);
    }

    #[test]
    fn the_error_of_a_large_piece_names_its_content_and_that_of_a_buffer_before_it_its_own() {
        let large = LARGE as u64;
        let refused = |room, first: &[u8]| {
            let mut disk = Disk::new(crate::ext4::WriteBehind::new(Short(room)).unwrap(), 10);
            disk.set_origin(b"first", 1);
            disk.write(0, first).unwrap();
            disk.set_origin(b"second", 2);
            let Err(Error::Write { offset, len, origin, .. }) = disk.write(large, &[1; LARGE]) else { panic!("room") };
            (offset, len, origin.map(|origin| origin.name))
        };
        assert_eq!(refused(10 + large, &[1; 100]), (10 + large, large, Some(b"second".to_vec())));
        assert_eq!(refused(50, &[1; 100]), (10, 100, Some(b"first".to_vec())));
    }

    #[test]
    fn an_error_of_something_else_at_the_same_place_names_no_content() {
        let mut disk = Disk::new(Short(u64::MAX), 0);
        disk.set_origin(b"a", 0);
        disk.write(0, &[1; 4096]).unwrap();
        let Err(Error::Write { offset, len, origin, .. }) = disk.punch(0, 4096) else { panic!("punched") };
        assert_eq!((offset, len, origin), (0, 4096, None));
    }
}
