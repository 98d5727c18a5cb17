use std::fmt;
use std::io::{self, Read};
use std::ops::Deref;

use crate::sys::uninterrupted;

/// The alignment of a buffer. Larger pages are multiples of it.
const PAGE: usize = 4096;

/// A buffer of fixed capacity whose first byte begins a page of memory.
///
/// The kernel copies from and to pages. The C library's large allocations begin 16 bytes after a page boundary, and on
/// common processors a string copy from a page boundary to there runs at half speed: the low address bits are nearly the
/// same, so that each load seems to depend on the preceding store (4 KiB aliasing).
#[derive(Default)]
pub struct PageBuffer {
    memory: Vec<u8>,
    /// Where the first page begins in `memory`.
    start: usize,
    /// Usable bytes from there on.
    capacity: usize,
    /// Filled bytes from there on.
    len: usize,
    /// How many of those have been consumed.
    consumed: usize,
}

impl PageBuffer {
    /// An empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        if capacity == 0 {
            return Self::default();
        }
        // Zeroed memory from the kernel costs nothing before it is used.
        let memory = vec![0; capacity.saturating_add(PAGE - 1)];
        // align_offset may fail, which only costs speed.
        let start = Some(memory.as_ptr().align_offset(PAGE)).filter(|start| *start < PAGE).unwrap_or(0);
        Self { memory, start, capacity, len: 0, consumed: 0 }
    }

    /// Empties the buffer and makes room for `capacity` bytes, allocating only if it has less.
    pub fn reset(&mut self, capacity: usize) {
        self.clear();
        if self.capacity < capacity {
            *self = Self::with_capacity(capacity);
        }
    }

    /// Its capacity in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether there is no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    /// Empties the buffer.
    pub fn clear(&mut self) {
        (self.len, self.consumed) = (0, 0);
    }

    /// What is filled and not yet consumed.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self[self.consumed..]
    }

    /// Marks bytes of [`PageBuffer::unread`] as consumed.
    pub fn consume(&mut self, amount: usize) {
        self.consumed = self.consumed.saturating_add(amount).min(self.len);
    }

    /// Appends as many of `bytes` as there is room for, and returns how many those are.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.len += len;
        len
    }

    /// Reads once, appending at most `limit` bytes; returns how many came.
    ///
    /// # Errors
    /// Those of the reader, except interruptions.
    pub fn read_from(&mut self, reader: &mut impl Read, limit: usize) -> io::Result<usize> {
        let room = self.room();
        let limit = limit.min(room.len());
        // A reader that lies about how much it read must not take us past the end.
        let len = uninterrupted(|| reader.read(&mut room[..limit]))?.min(limit);
        self.len += len;
        Ok(len)
    }

    /// Reads until the buffer is full; `false` means that the reader ended before.
    ///
    /// # Errors
    /// Those of the reader, except interruptions; what came before the error is in the buffer.
    pub fn fill(&mut self, reader: &mut impl Read) -> io::Result<bool> {
        while !self.is_full() {
            if self.read_from(reader, usize::MAX)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The unfilled rest.
    fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.start + self.len..self.start + self.capacity]
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    /// The filled part.
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl fmt::Debug for PageBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageBuffer({} of {} bytes)", self.len, self.capacity)
    }
}

#[cfg(test)]
impl From<&[u8]> for PageBuffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(bytes.len());
        buffer.push(bytes);
        buffer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn a_buffer_of_any_size_begins_a_page() {
        for capacity in [1, 100, PAGE, 256 << 10, 1 << 20] {
            let mut buffer = PageBuffer::with_capacity(capacity);
            assert!(!buffer.fill(&mut io::empty()).unwrap());
            assert_eq!((buffer.as_ptr().addr() % PAGE, buffer.capacity(), buffer.len()), (0, capacity, 0));
        }
        assert!(PageBuffer::default().is_full());
    }

    #[test]
    fn it_takes_what_it_has_room_for_and_shows_what_it_took() {
        let mut buffer = PageBuffer::with_capacity(5);
        assert_eq!((buffer.push(b"abc"), buffer.push(b"def")), (3, 2));
        assert_eq!(buffer.push(b"f"), 0);
        assert_eq!(&*buffer, b"abcde");
        buffer.clear();
        assert_eq!(buffer.read_from(&mut &b"xyz"[..], 2).unwrap(), 2);
        assert!(buffer.fill(&mut &b"12345"[..]).unwrap());
        assert_eq!(&*buffer, b"xy123");
        buffer.reset(3);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 5));
        buffer.reset(6);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 6));
    }

    #[test]
    fn what_came_before_an_error_is_there() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut buffer = PageBuffer::with_capacity(5);
        assert!(buffer.fill(&mut b"ab".chain(Broken)).is_err());
        assert_eq!(&*buffer, b"ab");
    }
}
