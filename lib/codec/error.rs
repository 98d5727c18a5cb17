use std::io;

/// Why a stream could not be decoded. It arrives as the source of an [`std::io::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream stops inside a gzip member.
    #[error("the gzip stream is cut: it stops inside a member, at compressed byte {offset}")]
    GzipCut {
        /// Where the input ended, in compressed bytes.
        offset: u64,
    },
    /// Neither a gzip member nor padding stands where one is due.
    #[error("at compressed byte {offset}: {what}")]
    Gzip {
        /// Where, in compressed bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A compression that is not decoded here.
    #[error("{name} compression is not supported: pipe it through {pipe}")]
    Unsupported {
        /// What it is called.
        name: &'static str,
        /// The command that decodes it.
        pipe: &'static str,
    },
    /// Decoding would take more memory than a stream may ask for.
    #[error("decoding this {name} stream takes more than {limit_mib} MiB of memory: pipe it through {pipe}")]
    Memory {
        /// How it is compressed.
        name: &'static str,
        /// How large a window or dictionary may be; MiB.
        limit_mib: u32,
        /// The command that decodes it all the same.
        pipe: &'static str,
    },
    /// The stream stops inside an xz stream.
    #[error("xz: the stream is cut")]
    XzCut,
    /// The xz library's own finding.
    #[error("xz: {source}")]
    Xz {
        /// What it said.
        source: io::Error,
    },
    /// A bzip2 stream that is cut or damaged.
    #[error("bzip2, near compressed byte {offset}: {what}")]
    Bzip2 {
        /// How many compressed bytes had been handed to the library.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The zstd library's own finding.
    #[error("zstd, near compressed byte {offset}: {source}")]
    Zstd {
        /// How many compressed bytes had been handed to the library.
        offset: u64,
        /// What it said.
        source: io::Error,
    },
}

/// An error of the data, as [`io::Read`] can carry it.
pub(super) fn invalid(error: Error) -> io::Error {
    let kind = match error {
        Error::GzipCut { .. } => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}
