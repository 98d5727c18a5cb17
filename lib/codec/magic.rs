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
    /// The .xz file format.
    Xz,
    /// The format of bzip2.
    Bzip2,
}

impl Compression {
    /// How many leading bytes [`Compression::of`] needs.
    pub const MAGIC_LEN: usize = 6;

    /// Decides by the first bytes of a stream; fewer than [`Self::MAGIC_LEN`] only if the stream is that short.
    ///
    /// # Errors
    /// When the magic number is that of an unsupported compression.
    pub fn of(head: &[u8]) -> Result<Self, Error> {
        let unsupported = |name, pipe| Err(Error::Unsupported { name, pipe });
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            // A block, or the end of an empty stream.
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => {
                Ok(Self::Bzip2)
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Self::Xz),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => unsupported("lz4", "lz4 -dc"),
            [b'L', b'Z', b'I', b'P', ..] => unsupported("lzip", "lzip -dc"),
            [b'L', b'R', b'Z', b'I', ..] => unsupported("lrzip", "lrzip -d"),
            [0x89, b'L', b'Z', b'O', 0, ..] => unsupported("lzop", "lzop -dc"),
            [0x1f, 0x9d, ..] => unsupported("compress", "gzip -dc"),
            // The properties that every tool writes, then a dictionary size that is a round number of KiB.
            [0x5d, 0, 0, low, high, ..] if (*low, *high) != (0, 0) && low & 0x3f == 0 => {
                unsupported("lzma", "xz --format=lzma -dc")
            }
            _ => Ok(Self::Plain),
        }
    }

    /// The suffix in media types of layers, after `tar`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => "+gzip",
            Self::Zstd => "+zstd",
            Self::Xz => "+xz",
            Self::Bzip2 => "+bzip2",
        }
    }
}
