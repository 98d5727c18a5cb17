//! A digest of a file's content that does not depend on how an archive stores it.
//!
//! It covers, in order, the 4096-byte blocks that are not all zero, each preceded by its number (8 bytes, little-endian),
//! the last one padded with zeros; then the size. Holes and stored zeros make no difference, and a 10 TB hole costs
//! nothing.

use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

use crate::relay::{fitting, read_buffered};

const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The SHA-256 of a file's content.
pub(super) type ContentDigest = [u8; 32];

/// Hashes data that comes with its offset in the file, in ascending order.
struct ContentHash {
    sha: Sha256,
    /// The incomplete block and its number.
    block: Box<[u8; BLOCK]>,
    number: u64,
    dirty: bool,
}

impl ContentHash {
    fn new() -> Self {
        Self { sha: Sha256::new(), block: Box::new(ZEROS), number: 0, dirty: false }
    }

    fn update(&mut self, offset: u64, data: &[u8]) {
        let mut offset = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let number = offset / BLOCK as u64;
            let within = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
            let (part, after) = rest.split_at(rest.len().min(BLOCK - within));
            if number != self.number {
                self.flush();
                self.number = number;
            }
            if part.len() == BLOCK {
                put(&mut self.sha, number, part);
            } else {
                self.block[within..within + part.len()].copy_from_slice(part);
                self.dirty = true;
            }
            offset += part.len() as u64;
            rest = after;
        }
    }

    fn flush(&mut self) {
        if self.dirty {
            put(&mut self.sha, self.number, &self.block[..]);
            self.block.fill(0);
            self.dirty = false;
        }
    }

    fn finish(mut self, size: u64) -> ContentDigest {
        self.flush();
        self.sha.update(size.to_le_bytes());
        self.sha.finalize().into()
    }
}

fn put(sha: &mut Sha256, number: u64, block: &[u8]) {
    if block != ZEROS {
        sha.update(number.to_le_bytes());
        sha.update(block);
    }
}

/// Passes a file's stored data on and hashes what is consumed.
pub(super) struct Hashing<R, S> {
    inner: R,
    hash: ContentHash,
    /// The segments to come, and the rest of the one being read: its offset and length in bytes.
    segments: S,
    offset: u64,
    left: u64,
}

impl<R: BufRead, S: Iterator<Item = (u64, u64)>> Hashing<R, S> {
    /// `segments` are the offsets and lengths, in bytes, of the data that `inner` holds one after the other.
    pub(super) fn new(inner: R, segments: S) -> Self {
        Self { inner, hash: ContentHash::new(), segments, offset: 0, left: 0 }
    }

    /// The digest of a file of `size` bytes.
    pub(super) fn finish(self, size: u64) -> ContentDigest {
        self.hash.finish(size)
    }
}

impl<R: BufRead, S: Iterator<Item = (u64, u64)>> BufRead for Hashing<R, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed is in the buffer already, so this reads nothing.
        if let Ok(filled) = self.inner.fill_buf() {
            let mut data = &filled[..amount.min(filled.len())];
            while !data.is_empty() {
                while self.left == 0 {
                    let Some((offset, left)) = self.segments.next() else { break };
                    (self.offset, self.left) = (offset, left);
                }
                if self.left == 0 {
                    break; // more data than segments: the writer complains about that
                }
                let take = fitting(self.left, data.len());
                self.hash.update(self.offset, &data[..take]);
                self.offset += take as u64;
                self.left -= take as u64;
                data = &data[take..];
            }
        }
        self.inner.consume(amount);
    }
}

impl<R: BufRead, S: Iterator<Item = (u64, u64)>> Read for Hashing<R, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn digest(stored: &[u8], segments: &[(u64, u64)], size: u64, buffer: usize) -> ContentDigest {
        let reader = io::BufReader::with_capacity(buffer, stored);
        let mut hashing = Hashing::new(reader, segments.iter().copied());
        io::copy(&mut hashing, &mut io::sink()).unwrap();
        hashing.finish(size)
    }

    #[test]
    fn holes_and_stored_zeros_make_no_difference() {
        let mut dense = vec![0_u8; 20_000];
        dense[5000..5100].fill(7);
        dense[12_288..16_500].fill(8);
        let whole = digest(&dense, &[(0, 20_000)], 20_000, 1 << 20);
        for buffer in [1, 7, 512, 4096] {
            assert_eq!(digest(&dense, &[(0, 20_000)], 20_000, buffer), whole, "buffers of {buffer}");
            let stored = [&dense[4608..5632], &dense[12_288..16_896]].concat();
            assert_eq!(digest(&stored, &[(4608, 1024), (12_288, 4608), (20_000, 0)], 20_000, buffer), whole);
        }
        assert_ne!(digest(&dense, &[(0, 20_000)], 20_001, 4096), whole);
        assert_ne!(digest(&dense, &[(1, 20_000)], 20_000, 4096), whole);
    }

    #[test]
    fn an_all_zero_file_is_its_size() {
        assert_eq!(digest(&[0; 9000], &[(0, 9000)], 9000, 100), digest(&[], &[], 9000, 100));
        assert_ne!(digest(&[], &[], 9000, 100), digest(&[], &[], 9001, 100));
    }
}
