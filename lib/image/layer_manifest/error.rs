use std::io;

/// Why a manifest could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error("record {record}: {source}")]
    Io {
        /// Number of the record, 1 first.
        record: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A record does not match the format.
    #[error("record {record}: {source}")]
    Json {
        /// Number of the record, 1 first.
        record: u64,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// Records are missing, out of order or not of this version (M3).
    #[error("record {record}: {what}")]
    Order {
        /// Number of the record, 1 first.
        record: u64,
        /// What is wrong.
        what: String,
    },
    /// The input stopped before its `end` record (S1).
    #[error("cut after {records} records, the 'end' record is missing (did oci-fetch fail?)")]
    Cut {
        /// The number of complete records.
        records: u64,
    },
}
