use super::Error;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// How many leading bytes [`Compression::of`] wants to see.
    pub const MAGIC_LEN: usize = 6;

    /// Decides by the first bytes of a stream; fewer than [`Self::MAGIC_LEN`] only when the stream is that short.
    ///
    /// # Errors
    /// When the magic is that of a known compression which is not decoded here.
    pub fn of(head: &[u8]) -> Result<Self, Error> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] => Err(Error::Unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Error::Unsupported("xz")),
            [0x04, 0x22, 0x4d, 0x18, ..] => Err(Error::Unsupported("lz4")),
            _ => Ok(Self::Plain),
        }
    }
}
