use std::io::{self, BufRead, Read};

use super::gzip::Gzip;
use super::{Compression, Error};
use crate::relay::PageReader;

/// Bytes read from the source at once.
const INPUT_BUFFER: usize = 256 << 10;

/// Decodes a stream by its magic bytes; an empty stream is empty.
///
/// Reads with a large buffer are cheapest: the decoders write straight into it.
pub struct Decoder<R: Read> {
    inner: Inner<R>,
}

type Whole<R> = io::Chain<io::Cursor<Vec<u8>>, R>;
type Source<R> = PageReader<Whole<R>>;

enum Inner<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<Gzip<Source<R>>>),
    Zstd(Box<zstd::Decoder<'static, Counted<Source<R>>>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `source`, which is read in large pieces.
    ///
    /// # Errors
    /// When `source` cannot be read, or is compressed in a way that is not supported ([`Error::Unsupported`]).
    pub fn new(mut source: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(Compression::MAGIC_LEN);
        (&mut source).take(Compression::MAGIC_LEN as u64).read_to_end(&mut head)?;
        let compression = Compression::of(&head).map_err(invalid)?;
        let whole = io::Cursor::new(head).chain(source);
        let buffered = |whole| PageReader::with_capacity(INPUT_BUFFER, whole);
        let inner = match compression {
            Compression::Plain => Inner::Plain(whole),
            Compression::Gzip => Inner::Gzip(Box::new(Gzip::new(buffered(whole)))),
            Compression::Zstd => {
                let counted = Counted { inner: buffered(whole), count: 0 };
                Inner::Zstd(Box::new(zstd::Decoder::with_buffer(counted)?))
            }
        };
        Ok(Self { inner })
    }

    /// What the magic bytes said.
    pub fn compression(&self) -> Compression {
        match &self.inner {
            Inner::Plain(_) => Compression::Plain,
            Inner::Gzip(_) => Compression::Gzip,
            Inner::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(source) => source.read(buf),
            Inner::Gzip(gzip) => gzip.read(buf),
            Inner::Zstd(zstd) => zstd.read(buf).map_err(|source| match source.kind() {
                io::ErrorKind::Interrupted => source,
                kind => io::Error::new(kind, Error::Zstd { offset: zstd.get_ref().count, source }),
            }),
        }
    }
}

/// An error of the data, as [`io::Read`] can carry it.
pub(super) fn invalid(error: Error) -> io::Error {
    let kind = match error {
        Error::GzipCut { .. } => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// Counts what is consumed, for error messages.
pub(super) struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        self.count += len as u64;
        Ok(len)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}
