//! The layer manifest: JSON Lines from `oci-fetch` to `oci-flatten` (M rules, layer-manifest(5)).
//!
//! One `image` record, its `layer` records bottom first, one `end` record. A stream without its `end` is truncated
//! (S1). Before the `layer` record of an index, `fetching` records may name the file that its bytes arrive in (M4). The
//! index of an archive comes after its blobs, so `arriving` records may announce blobs even before the `image` record.

mod error;
mod order;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use error::Error;
pub use reader::Reader;
pub use record::{ArrivingBlob, DIRECTORY_MEDIA_TYPE, ImageRecord, LayerRecord, PlatformRecord, Record, VERSION};
pub use writer::Writer;
