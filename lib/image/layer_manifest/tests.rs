#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
use serde_json::value::RawValue;

use super::*;
use crate::image::{Annotations, Digest};

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
        annotations: Annotations::new(),
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
