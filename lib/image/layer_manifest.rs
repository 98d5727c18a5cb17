//! The layer manifest: JSON Lines from `oci-fetch` to `oci-flatten` (M rules, layer-manifest(5)).
//!
//! One `image` record, its `layer` records bottom first, one `end` record. A stream without its `end` is truncated
//! (S1). Before the `layer` record of an index, `fetching` records may name the file that its bytes arrive in (M4). The
//! index of an archive comes after its blobs, so `arriving` records may announce blobs even before the `image` record.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Digest;
use super::document::MAX_LAYERS;

/// The version of the format that this module writes and the only one it reads.
pub const VERSION: u32 = 1;

/// The media type of a layer that is a directory on this machine (overlay2, M2).
pub const DIRECTORY_MEDIA_TYPE: &str = "inode/directory";

/// The longest record that is read, in bytes: enough for a config of 8 MiB and the rest.
const MAX_RECORD: u64 = 16 << 20;

/// One line of the manifest.
#[derive(Debug)]
pub enum Record {
    /// The image that the layers belong to; the first record.
    Image(ImageRecord),
    /// The bytes of a layer are arriving in the file at its path, where they are never rewritten. They do not count before
    /// the layer's own record, which may name another file (M4).
    Fetching(LayerRecord),
    /// The bytes of a blob are arriving, like those of a [`Fetching`](Self::Fetching) layer. It is not known yet
    /// whether the blob is a layer, and which one.
    Arriving(ArrivingBlob),
    /// A layer that is complete on disk.
    Layer(LayerRecord),
    /// The manifest is complete; nothing follows.
    End,
}

/// The first record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The name of the image with its defaults filled in (`docker.io/library/nginx:latest`, `overlay2:/dir`).
    pub reference: String,
    /// What the image runs on; null if the source does not say.
    pub platform: Option<PlatformRecord>,
    /// The digest of the image manifest; null for overlay2 (M1).
    pub manifest: Option<Digest>,
    /// The OCI image config, verbatim; null for overlay2 (M1).
    pub config: Option<Box<RawValue>>,
    /// The number of layer records that follow.
    pub layers: u32,
}

/// A platform as OCI spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformRecord {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ... (GOARCH).
    pub architecture: String,
    /// `v7`, `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerRecord {
    /// The position, counted from 0 at the bottom.
    pub index: u32,
    /// The media type from the image manifest, or [`DIRECTORY_MEDIA_TYPE`].
    pub media_type: String,
    /// The digest of the blob as stored; absent for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The size of the blob as stored, in bytes; absent for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of the uncompressed tar (F12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
    /// The digest of the layer and all layers below it (the specification's ChainID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<Digest>,
    /// The absolute path of the blob or directory on this machine.
    pub path: PathBuf,
    /// Annotations of the layer's descriptor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A blob of an archive that is being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivingBlob {
    /// Its final size in bytes.
    pub size: u64,
    /// An absolute path by which the file that its bytes arrive in can be opened in the meantime. The layer's record,
    /// if one follows, has another path of the same file.
    pub path: PathBuf,
}

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

/// Reads a manifest and checks the order of its records.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    record: u64,
    state: State,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Layers { seen: u32, of: u32 },
    End,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, record: 0, state: State::Start, line: Vec::new() }
    }

    /// The next record; `None` after the `end` record, when the input has been read to its end (S3).
    ///
    /// # Errors
    /// When the input fails, is truncated, or breaks an M rule.
    pub fn next_record(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if !self.read_line()? {
                return match self.state {
                    State::End => Ok(None),
                    State::Start | State::Layers { .. } => Err(Error::Cut { records: self.record }),
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
            return Err(self.order(format!("longer than {MAX_RECORD} bytes"), record));
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
            _ if matches!(self.state, State::Layers { .. }) => return Ok(None),
            other => return Err(self.order(format!("unknown type {other:?} before 'image' or after 'end'"), record)),
        };
        self.advance(&parsed)?;
        Ok(Some(parsed))
    }

    fn advance(&mut self, parsed: &Record) -> Result<(), Error> {
        self.state = match (self.state, parsed) {
            (State::Start, Record::Image(image)) if image.version == VERSION => {
                if u64::from(image.layers) > MAX_LAYERS as u64 {
                    let what = format!("{} layers are too many, at most {MAX_LAYERS} are read", image.layers);
                    return Err(self.order(what, self.record));
                }
                State::Layers { seen: 0, of: image.layers }
            }
            (state @ (State::Start | State::Layers { .. }), Record::Arriving(_)) => state,
            (State::Start, Record::Image(image)) => {
                let what = format!("version {} is not known here, only {VERSION} is", image.version);
                return Err(self.order(what, self.record));
            }
            (State::Layers { seen, of }, Record::Fetching(layer)) if (seen..of).contains(&layer.index) => {
                if layer.digest.is_none() {
                    return Err(self.order(format!("layer {} has no digest", layer.index), self.record));
                }
                State::Layers { seen, of }
            }
            (State::Layers { seen, of }, Record::Fetching(layer)) => {
                let what = format!("layer {} is being fetched, but layers {seen} to {of} are due", layer.index);
                return Err(self.order(what, self.record));
            }
            (State::Layers { seen, of }, Record::Layer(layer)) if seen < of && layer.index == seen => {
                if layer.digest.is_none() && layer.media_type != DIRECTORY_MEDIA_TYPE {
                    return Err(self.order(format!("layer {seen} has no digest"), self.record));
                }
                State::Layers { seen: seen + 1, of }
            }
            (State::Layers { seen, of }, Record::Layer(layer)) => {
                let what = format!("layer {} stands where layer {seen} of {of} is due", layer.index);
                return Err(self.order(what, self.record));
            }
            (State::Layers { seen, of }, Record::End) if seen == of => State::End,
            (State::Layers { seen, of }, Record::End) => {
                return Err(self.order(format!("'end' after {seen} of {of} layers"), self.record));
            }
            (State::End, _) => return Err(self.order("a record after 'end'".into(), self.record)),
            (State::Start, _) => return Err(self.order("the 'image' record must come first".into(), self.record)),
            (State::Layers { .. }, Record::Image(_)) => {
                return Err(self.order("a second 'image' record".into(), self.record));
            }
        };
        Ok(())
    }

    fn order(&self, what: String, record: u64) -> Error {
        Error::Order { record, what }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    const CONFIG: &str = r#"{"z":1.50,"a":  {"b":[1e3]}}"#;

    fn layer(index: u32) -> LayerRecord {
        LayerRecord {
            index,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            digest: Some(Digest::sha256(b"x")),
            size: Some(1),
            diff_id: Some(Digest::sha256(b"y")),
            chain_id: Some(Digest::sha256(b"y")),
            path: "/store/blobs/sha256/x".into(),
            annotations: BTreeMap::new(),
        }
    }

    fn manifest() -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        let image = ImageRecord {
            version: VERSION,
            reference: "docker.io/library/nginx:latest".into(),
            platform: None,
            manifest: Some(Digest::sha256(b"m")),
            config: Some(RawValue::from_string(CONFIG.into()).unwrap()),
            layers: 2,
        };
        writer.write(&Record::Image(image)).unwrap();
        writer.write(&Record::Layer(layer(0))).unwrap();
        writer.write(&Record::Layer(layer(1))).unwrap();
        writer.write(&Record::End).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn read(text: &str) -> Result<Vec<Record>, Error> {
        let mut reader = Reader::new(text.as_bytes());
        let mut records = Vec::new();
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn what_is_written_is_read_and_the_config_is_verbatim() {
        let text = manifest();
        assert!(text.starts_with(r#"{"type":"image","version":1,"reference":"#), "{text}");
        assert!(text.contains(CONFIG), "{text}");
        let records = read(&text).unwrap();
        let [Record::Image(image), Record::Layer(first), Record::Layer(_), Record::End] = &records[..] else {
            panic!("{records:?}")
        };
        assert_eq!(image.config.as_ref().unwrap().get(), CONFIG);
        assert_eq!(*first, layer(0));
    }

    #[test]
    fn every_prefix_is_cut() {
        let text = manifest();
        let whole = text.trim_end().len();
        for len in 0..whole {
            let error = read(&text[..len]).unwrap_err();
            assert!(matches!(error, Error::Cut { .. }), "{len}: {error}");
        }
        assert!(read(&text[..whole]).is_ok());
    }

    #[test]
    fn order_is_held() {
        let text = manifest();
        let lines: Vec<&str> = text.lines().collect();
        let says = |order: &[usize], what: &str| {
            let text: String = order.iter().map(|&i| format!("{}\n", lines[i])).collect();
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(what), "{order:?}: {error}");
        };
        says(&[1], "must come first");
        says(&[0, 0], "second 'image'");
        says(&[0, 2], "layer 1 stands where layer 0 of 2");
        says(&[0, 1, 3], "'end' after 1 of 2");
        says(&[0, 1, 2, 1], "layer 0 stands where");
        says(&[0, 1, 2, 3, 3], "after 'end'");
    }

    #[test]
    fn layers_on_their_way_are_announced_and_unknown_types_pass() {
        let text = manifest();
        let lines: Vec<&str> = text.lines().collect();
        let fetching = |index| lines[2].replace("layer\",\"index\":1", &format!("fetching\",\"index\":{index}"));
        let unknown = r#"{"type":"colour","red":1}"#;
        let arriving = r#"{"type":"arriving","size":7,"path":"/store/partial/x"}"#;
        let [one, two] = [fetching(1), fetching(2)];
        let order = [lines[0], unknown, &one, lines[1], &one, unknown, lines[2], lines[3]].join("\n");
        let records = read(&order).unwrap();
        assert!(matches!(&records[1], Record::Fetching(record) if *record == layer(1)), "{records:?}");
        assert_eq!(records.len(), 6);
        let order = [arriving, arriving, lines[0], lines[1], arriving, lines[2], lines[3]].join("\n");
        let records = read(&order).unwrap();
        let [Record::Arriving(blob), Record::Arriving(_), Record::Image(_), ..] = &records[..] else {
            panic!("{records:?}")
        };
        assert_eq!((blob.size, blob.path.to_str()), (7, Some("/store/partial/x")));
        let mut line = Vec::new();
        Writer::new(&mut line).write(&records[0]).unwrap();
        assert_eq!(String::from_utf8(line).unwrap().trim_end(), arriving);
        for (order, what) in [
            (vec![lines[0], lines[1], lines[2], &one], "layer 1 is being fetched, but layers 2 to 2 are due"),
            (vec![lines[0], &two], "layer 2 is being fetched"),
            (vec![&one], "must come first"),
            (vec![unknown], "unknown type \"colour\""),
            (vec![lines[0], lines[1], lines[2], lines[3], unknown], "after 'end'"),
            (vec![lines[0], lines[1], lines[2], lines[3], arriving], "after 'end'"),
            (vec![arriving, lines[1]], "must come first"),
            (vec![arriving], "cut after 1 records"),
        ] {
            let error = read(&order.join("\n")).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn unknown_fields_pass_and_an_unknown_version_does_not() {
        let text = manifest().replace("\"version\":1", "\"version\":1,\"colour\":\"red\"");
        assert!(read(&text).is_ok());
        let error = read(&text.replace("\"version\":1", "\"version\":2")).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
