//! Records of an extended header stand one after the other within it, and written again they are the same records.

use oci2ext4::tar::pax::{Attributes, records};

pub fn check(bytes: &[u8]) {
    let mut attributes = Attributes::default();
    let mut at = 0;
    for record in records(bytes) {
        let Ok(record) = record else { break };
        assert_eq!(record.at, at, "no gap and no overlap");
        let text = [record.keyword, b"=", record.value, b"\n"].concat();
        let len =
            (1..20).map(|digits| digits + 1 + text.len()).find(|len| len.to_string().len() + 1 + text.len() == *len);
        let canonical = [format!("{} ", len.expect("a length")).as_bytes(), &text].concat();
        let [Ok(again)] = records(&canonical).collect::<Vec<_>>()[..] else { panic!("{canonical:?}") };
        assert_eq!((again.keyword, again.value), (record.keyword, record.value));
        // Leading zeros of the length are all that may differ.
        let stored = bytes[at..].iter().position(|b| *b == b' ').expect("a space") + 1 + text.len();
        at += stored;
        if attributes.apply(record).is_err() {
            break;
        }
        assert!(attributes.size() <= 16 * bytes.len() + 64, "memory follows the input");
    }
}
