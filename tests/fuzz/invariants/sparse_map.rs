//! A sparse map is refused, or its segments ascend, do not touch, are not empty, lie within the file and sum up to what is
//! stored; widened to blocks they still cover the same bytes.

use oci2ext4::meta::Named;
use oci2ext4::tar::{Reader, Segment, StoredFile, encode};

use super::tar_reader::{extended, header, sealed};

pub fn check(bytes: &[u8]) {
    let Some((sizes, text)) = bytes.split_at_checked(16) else { return };
    let word = |at: usize| sizes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
    let (size, stored) = (word(0), word(8));
    let mut map = text.to_vec();
    map.resize(map.len().next_multiple_of(512), b'0');
    let Some(all) = stored.checked_add(map.len() as u64) else { return };
    let said = [("GNU.sparse.major", 1), ("GNU.sparse.minor", 0), ("GNU.sparse.realsize", size), ("size", all)];
    let said: String = said.iter().map(|(keyword, value)| record(keyword, *value)).collect();
    let archive = [&extended(said.as_bytes()), &header(b'0', 0)[..], &map].concat();
    let archive = sealed(&archive);
    let Ok(Some(member)) = Reader::new(&archive[..]).next_member() else { return };
    let file = member.entry.content().expect("a file");
    // The map may be shorter than what we have of it: the rest is data.
    whole(file, all - file.stored);
    let (entry, xattrs) = (member.entry.as_deref().map(StoredFile::layout), member.xattrs.clone());
    let body = encode(&Named { path: &member.path, entry, meta: member.meta, xattrs }, &mut Vec::new());
    let Ok(body) = body else { return };
    for segment in file.sparse.iter().flatten() {
        let covers = |w: &&Segment| w.offset <= segment.offset && w.offset + w.len >= segment.offset + segment.len;
        assert!(body.segments.iter().any(|w| covers(&w)), "{segment:?} is lost in {body:?}");
    }
}

fn whole(file: &StoredFile, map: u64) {
    assert!(map >= 512 && map & 511 == 0, "a map of {map} bytes");
    let Some(segments) = &file.sparse else { return assert_eq!(file.size, file.stored, "without holes all is stored") };
    let mut end = None;
    for segment in segments {
        assert!(segment.len > 0 && end.is_none_or(|end| segment.offset > end), "{segments:?}");
        end = Some(segment.offset + segment.len);
    }
    assert!(end.unwrap_or(0) <= file.size);
    assert_eq!(segments.iter().map(|s| s.len).sum::<u64>(), file.stored);
}

fn record(keyword: &str, value: u64) -> String {
    let text = format!(" {keyword}={value}\n");
    let len = (1..20).map(|digits| digits + text.len()).find(|len| len.to_string().len() + text.len() == *len);
    format!("{}{text}", len.expect("a length"))
}
