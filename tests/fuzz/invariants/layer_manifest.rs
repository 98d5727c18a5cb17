//! Whatever is read as a whole manifest is, written again, read as the same manifest; cut before its last record, it is
//! refused.

use oci2ext4::image::layer_manifest::{Error, Reader, Record, Writer};

pub fn check(bytes: &[u8]) {
    let Ok(records) = read(bytes) else { return };
    let text = write(&records);
    let again = read(text.as_bytes()).expect("what was written is read");
    assert_eq!(write(&again), text);
    let last = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    assert!(matches!(read(&text.as_bytes()[..last]), Err(Error::Cut { .. })), "cut before its end:\n{text}");
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, Error> {
    let mut reader = Reader::new(bytes);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    Ok(records)
}

fn write(records: &[Record]) -> String {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for record in records {
        writer.write(record).expect("what was read can be written");
    }
    String::from_utf8(out).expect("JSON is UTF-8")
}
