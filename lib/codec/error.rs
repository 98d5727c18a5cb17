use std::io;

/// Why a stream could not be decoded; the source of an [`std::io::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream ends inside a gzip member.
    #[error("the gzip stream is cut: it stops inside a member, at compressed byte {offset}")]
    GzipCut {
        /// Where the input ended, in compressed bytes.
        offset: u64,
    },
    /// There is neither a gzip member nor padding where one is due, or a member is damaged.
    #[error("at compressed byte {offset}: {what}")]
    Gzip {
        /// Where, in compressed bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A compression that is not supported.
    #[error("{name} compression is not supported: pipe it through {pipe}")]
    Unsupported {
        /// What it is called.
        name: &'static str,
        /// The command that decodes it.
        pipe: &'static str,
    },
    /// Decoding would need more memory than a stream may ask for.
    #[error("decoding this {name} stream takes more than {limit_mib} MiB of memory: pipe it through {pipe}")]
    Memory {
        /// How it is compressed.
        name: &'static str,
        /// The largest window or dictionary allowed, in MiB.
        limit_mib: u32,
        /// A command that can decode it.
        pipe: &'static str,
    },
    /// The input ends inside an xz stream.
    #[error("xz: the stream is cut")]
    XzCut,
    /// An error from the xz library.
    #[error("xz: {source}")]
    Xz {
        /// What it said.
        source: io::Error,
    },
    /// A bzip2 stream is cut or damaged.
    #[error("bzip2, near compressed byte {offset}: {what}")]
    Bzip2 {
        /// How many compressed bytes had been handed to the library.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An error from the zstd library.
    #[error("zstd, near compressed byte {offset}: {source}")]
    Zstd {
        /// How many compressed bytes had been handed to the library.
        offset: u64,
        /// What it said.
        source: io::Error,
    },
}

/// The error as an [`io::Error`].
pub(super) fn invalid(error: Error) -> io::Error {
    let kind = match error {
        Error::GzipCut { .. } => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}
