use std::io::{self, Read};

use super::bzip2::Bzip2;
use super::counted::Counted;
use super::error::{Error, invalid};
use super::gzip::Gzip;
use super::magic::Compression;
use super::xz::Xz;
use crate::relay::PageReader;

/// The number of bytes read from the source at once.
const INPUT_BUFFER: usize = 256 << 10;

/// The largest window that a zstd frame may ask for, the library's default: 128 MiB.
const MAX_WINDOW_LOG: u32 = 27;

/// Whether the zstd library refused a frame for its window. All that reaches us is the text for its code 16.
fn is_too_large_a_window(error: &io::Error) -> bool {
    const WINDOW_TOO_LARGE: usize = 0_usize.wrapping_sub(16);
    error.to_string() == zstd::zstd_safe::get_error_name(WINDOW_TOO_LARGE)
}

/// Decodes a stream according to its magic bytes; an empty stream stays empty.
///
/// Reads with a large buffer are cheapest, because the decoders write directly into it.
pub struct Decoder<R: Read> {
    inner: Inner<R>,
}

type Whole<R> = io::Chain<io::Cursor<Vec<u8>>, R>;
type Source<R> = PageReader<Whole<R>>;

enum Inner<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<Gzip<Source<R>>>),
    Zstd(Box<zstd::Decoder<'static, Counted<Source<R>>>>),
    Xz(Box<Xz<Source<R>>>),
    Bzip2(Box<Bzip2<Source<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Examines the first bytes of `source`, which is read in large pieces.
    ///
    /// # Errors
    /// When `source` cannot be read, or its compression is not supported ([`Error::Unsupported`]).
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
                let mut decoder = zstd::Decoder::with_buffer(Counted::new(buffered(whole)))?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Inner::Zstd(Box::new(decoder))
            }
            Compression::Xz => Inner::Xz(Box::new(Xz::new(buffered(whole)))),
            Compression::Bzip2 => Inner::Bzip2(Box::new(Bzip2::new(buffered(whole)))),
        };
        Ok(Self { inner })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(source) => source.read(buf),
            Inner::Gzip(gzip) => gzip.read(buf),
            Inner::Zstd(zstd) => zstd.read(buf).map_err(|source| match source.kind() {
                io::ErrorKind::Interrupted => source,
                _ if is_too_large_a_window(&source) => {
                    let limit_mib = 1 << (MAX_WINDOW_LOG - 20);
                    invalid(Error::Memory { name: "zstd", limit_mib, pipe: "zstd -dc --long=31" })
                }
                kind => io::Error::new(kind, Error::Zstd { offset: zstd.get_ref().consumed, source }),
            }),
            Inner::Xz(xz) => xz.read(buf),
            Inner::Bzip2(bzip2) => bzip2.read(buf),
        }
    }
}
