use std::io::{BufRead, Read};

use serde::Deserialize;

use super::error::Error;
use super::order::RecordOrder;
use super::record::Record;

/// The longest record that is read, in bytes: enough for a config of 8 MiB and the rest.
const MAX_RECORD: u64 = 16 << 20;

/// Reads a manifest and checks the order of its records.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    record: u64,
    order: RecordOrder,
    line: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, record: 0, order: RecordOrder::Start, line: Vec::new() }
    }

    /// The next record; `None` after the `end` record, when the input has been read to its end (S3).
    ///
    /// # Errors
    /// When the input fails, is truncated, or breaks an M rule.
    pub fn next_record(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if !self.read_line()? {
                return match self.order {
                    RecordOrder::End => Ok(None),
                    RecordOrder::Start | RecordOrder::Layers { .. } => Err(Error::Cut { records: self.record }),
                };
            }
            self.record += 1;
            if self.line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Some(record) = self.parse()? {
                return Ok(Some(record));
            }
        }
    }

    fn read_line(&mut self) -> Result<bool, Error> {
        self.line.clear();
        let record = self.record + 1;
        let mut bounded = (&mut self.input).take(MAX_RECORD);
        let read = bounded.read_until(b'\n', &mut self.line).map_err(|source| Error::Io { record, source })?;
        if read as u64 == MAX_RECORD && self.line.last() != Some(&b'\n') {
            return Err(Error::Order { record, what: format!("longer than {MAX_RECORD} bytes") });
        }
        Ok(read > 0)
    }

    /// The record in the line; `None` if its type is unknown (M4).
    fn parse(&mut self) -> Result<Option<Record>, Error> {
        #[derive(Deserialize)]
        struct Tag {
            r#type: String,
        }
        // An invalid last line without a line break was truncated.
        let whole = self.line.last() == Some(&b'\n');
        let (record, line) = (self.record, &self.line);
        let json = |source: serde_json::Error| {
            if whole { Error::Json { record, source } } else { Error::Cut { records: record - 1 } }
        };
        let tag: Tag = serde_json::from_slice(line).map_err(json)?;
        let parsed = match tag.r#type.as_str() {
            "image" => Record::Image(serde_json::from_slice(line).map_err(json)?),
            "fetching" => Record::Fetching(serde_json::from_slice(line).map_err(json)?),
            "arriving" => Record::Arriving(serde_json::from_slice(line).map_err(json)?),
            "layer" => Record::Layer(serde_json::from_slice(line).map_err(json)?),
            "end" => Record::End,
            _ if matches!(self.order, RecordOrder::Layers { .. }) => return Ok(None),
            other => {
                let what = format!("unknown type {other:?} before 'image' or after 'end'");
                return Err(Error::Order { record, what });
            }
        };
        self.order = self.order.after(&parsed).map_err(|what| Error::Order { record, what })?;
        Ok(Some(parsed))
    }
}
