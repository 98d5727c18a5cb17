//! xz streams (the .xz file format 1.2): any number of them, with padding and all kinds of checks.
//!
//! Decoding is by `lzma-rust2`: plain Rust, measured at 1.1 times the processor time of liblzma.

use std::io::{self, Read};

use lzma_rust2::XzReader;

use super::Error;

/// The limit on the dictionary of a block, since a header can ask for 4 GiB. It is the same as for a zstd window; `xz -9`
/// needs half of it.
const MAX_DICTIONARY_KIB: u32 = 128 << 10;
/// What decoding needs besides, as the library counts it.
const DECODER_KIB: u32 = 1 << 10;

pub(super) struct Xz<R: Read> {
    reader: XzReader<R>,
    /// Whether there was an error, after which nothing follows.
    failed: bool,
}

impl<R: Read> Xz<R> {
    pub(super) fn new(source: R) -> Self {
        Self { reader: XzReader::new_mem_limit(source, true, MAX_DICTIONARY_KIB + DECODER_KIB), failed: false }
    }
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed || buf.is_empty() {
            return Ok(0);
        }
        self.reader.read(buf).map_err(|source| {
            self.failed = source.kind() != io::ErrorKind::Interrupted;
            match source.kind() {
                io::ErrorKind::Interrupted => source,
                io::ErrorKind::OutOfMemory => {
                    let error = Error::Memory { name: "xz", limit_mib: MAX_DICTIONARY_KIB >> 10, pipe: "xz -dc" };
                    io::Error::new(io::ErrorKind::InvalidData, error)
                }
                kind @ io::ErrorKind::UnexpectedEof => io::Error::new(kind, Error::XzCut),
                kind => io::Error::new(kind, Error::Xz { source }),
            }
        })
    }
}
