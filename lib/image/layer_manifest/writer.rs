use std::io::Write;

use serde::Serialize;

use super::error::Error;
use super::record::{ImageRecord, Record};

/// Writes a manifest; each record is flushed as soon as it is true.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    record: u64,
    /// Whether to write records of arriving blobs (M4).
    announces: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a manifest on `out`.
    pub fn new(out: W) -> Self {
        Self { out, record: 0, announces: true }
    }

    /// Starts a manifest that nobody reads before it is complete. It leaves out records of arriving blobs, so that an image
    /// has the same bytes whether it is fetched or cached (R6).
    pub fn to_be_kept(out: W) -> Self {
        Self { announces: false, ..Self::new(out) }
    }

    /// Writes one record as one line and flushes it.
    ///
    /// # Errors
    /// When `out` cannot be written, or a path is not UTF-8, which JSON requires.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Tagged<'a, T> {
            r#type: &'static str,
            #[serde(flatten)]
            record: &'a T,
        }
        #[derive(Serialize)]
        struct Nothing {}
        if !self.announces && matches!(record, Record::Fetching(_) | Record::Arriving(_)) {
            return Ok(());
        }
        self.record += 1;
        let line = match record {
            Record::Image(record) => image_line(record),
            Record::Fetching(record) => serde_json::to_string(&Tagged { r#type: "fetching", record }),
            Record::Arriving(record) => serde_json::to_string(&Tagged { r#type: "arriving", record }),
            Record::Layer(record) => serde_json::to_string(&Tagged { r#type: "layer", record }),
            Record::End => serde_json::to_string(&Tagged { r#type: "end", record: &Nothing {} }),
        };
        let mut line = line.map_err(|source| Error::Json { record: self.record, source })?;
        line.push('\n');
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|source| Error::Io { record: self.record, source })
    }
}

/// Serde's flattening would parse the config and so change it; therefore the tag is inserted before the other fields by
/// hand. Line breaks between the config's tokens (there are none within) become spaces, so that the record is one line.
fn image_line(record: &ImageRecord) -> Result<String, serde_json::Error> {
    let fields = serde_json::to_string(record)?;
    Ok(format!("{{\"type\":\"image\",{}", &fields[1..]).replace(['\n', '\r'], " "))
}
