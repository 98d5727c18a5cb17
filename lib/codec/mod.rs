//! Compression of layers and tar streams, chosen by magic bytes and never by a name or a media type (F13).
//!
//! [`Decoder`] turns gzip (RFC 1952, any number of members), zstd (RFC 8878, any number of frames, skippable frames
//! too) or plain bytes into plain bytes. A stream that stops before its format says that it may is an error, so that
//! a cut download never passes for a short one (S1).

mod decoder;
mod gzip;
mod magic;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use magic::Compression;

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
    /// A compression that images do not use.
    #[error("{0} compression is not supported: gzip, zstd and plain are")]
    Unsupported(&'static str),
    /// The zstd library's own finding.
    #[error("zstd, near compressed byte {offset}: {source}")]
    Zstd {
        /// How many compressed bytes had been handed to the library.
        offset: u64,
        /// What it said.
        source: std::io::Error,
    },
}
