//! A sparse map is refused, or its segments ascend, do not touch, are not empty, lie within the file and sum up to what is
//! stored; widened to blocks they still cover the same bytes.

use oci2ext4::tar::sparse::{Map, TextMap, widen};

pub fn check(bytes: &[u8]) {
    let Some((sizes, text)) = bytes.split_at_checked(16) else { return };
    let word = |at: usize| sizes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
    let (size, stored) = (word(0), word(8));
    let mut map = TextMap::default();
    for chunk in text.chunks(512) {
        let mut block = [b'0'; 512];
        block[..chunk.len()].copy_from_slice(chunk);
        match map.block(&block) {
            Ok(None) => {}
            Ok(Some(map)) => return whole(map, size, stored),
            Err(_) => return,
        }
    }
}

fn whole(map: Map, size: u64, stored: u64) {
    let Ok(segments) = map.finish(size, stored) else { return };
    let Some(segments) = segments else { return assert_eq!(size, stored, "without holes all is stored") };
    let mut end = None;
    for segment in &segments {
        assert!(segment.len > 0 && end.is_none_or(|end| segment.offset > end), "{segments:?}");
        end = Some(segment.offset + segment.len);
    }
    assert!(end.unwrap_or(0) <= size);
    assert_eq!(segments.iter().map(|s| s.len).sum::<u64>(), stored);
    let wide = widen(&segments, size);
    for segment in &segments {
        let covers = |w: &&oci2ext4::tar::Segment| {
            w.offset <= segment.offset && w.offset + w.len >= segment.offset + segment.len
        };
        assert!(wide.iter().any(|w| covers(&w)), "{segment:?} is lost in {wide:?}");
    }
    assert_eq!(widen(&wide, size), wide, "widening twice changes nothing");
}
