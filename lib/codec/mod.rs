//! Decompression of layers and tar streams, chosen by magic bytes and never by a name or a media type (F13).
//!
//! [`Decoder`] turns gzip (RFC 1952, any number of members), zstd (RFC 8878, any number of frames, skippable frames
//! included), xz and bzip2 (any number of streams) or plain bytes into plain bytes. A header may ask for at most 128 MiB of
//! window or dictionary. A stream that ends before its format allows is an error, so that a truncated download never passes
//! for a short one (S1).

mod bzip2;
mod counted;
mod decoder;
mod error;
mod gzip;
mod magic;
#[cfg(test)]
mod tests;
mod xz;

pub use decoder::Decoder;
pub use error::Error;
pub use magic::Compression;
