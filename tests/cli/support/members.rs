//! The members of a tar, read by the `tar` crate.

use std::fmt::Write as _;

/// Type, name, link target, and what belongs to it: a line for each member.
pub fn members(tar: &[u8]) -> String {
    let mut text = String::new();
    let mut archive = tar::Archive::new(tar);
    for member in archive.entries().expect("entries") {
        let mut member = member.expect("a member");
        let records: Vec<(Vec<u8>, Vec<u8>)> = member
            .pax_extensions()
            .expect("records")
            .into_iter()
            .flatten()
            .map(|record| record.expect("a record"))
            .map(|record| (record.key_bytes().to_vec(), record.value_bytes().to_vec()))
            .collect();
        let record = |key: &str| records.iter().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| &value[..]);
        let number = |key: &str, field: u64| {
            record(key).map_or(field.to_string(), |value| String::from_utf8_lossy(value).into_owned())
        };
        let header = member.header();
        let flag = header.entry_type().as_byte();
        let name = record("GNU.sparse.name").map_or_else(|| member.path_bytes().into_owned(), <[u8]>::to_vec);
        let _ = write!(text, "{} {}", char::from(flag), name.escape_ascii());
        if let Some(target) = member.link_name_bytes() {
            let _ = write!(text, " -> {}", target.escape_ascii());
        }
        if flag != b'1' {
            let _ = write!(text, " {:04o}", header.mode().expect("mode"));
            let _ = write!(text, " {}", number("uid", header.uid().expect("uid")));
            let _ = write!(text, ":{}", number("gid", header.gid().expect("gid")));
            let _ = write!(text, " @{}", number("mtime", header.mtime().expect("mtime")));
            if flag == b'0' {
                let _ = write!(text, " {}", number("GNU.sparse.realsize", member.size()));
            }
            for (key, value) in records.iter().filter(|(key, _)| key.starts_with(b"SCHILY.xattr.")) {
                let _ = write!(text, " {}={}", key[13..].escape_ascii(), value.escape_ascii());
            }
        }
        text.push('\n');
    }
    text
}

/// Fails unless names come in order by component, parents first, and links after what they link to (T1, T2).
#[track_caller]
pub fn assert_canonical(tar: &[u8]) {
    let components = |name: &[u8]| -> Vec<Vec<u8>> {
        let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
        parts.map(<[u8]>::to_vec).collect()
    };
    let mut before: Vec<Vec<Vec<u8>>> = Vec::new();
    for member in tar::Archive::new(tar).entries().expect("entries") {
        let mut member = member.expect("a member");
        let records = member.pax_extensions().expect("records").into_iter().flatten().flatten();
        let sparse = records.filter(|record| record.key_bytes() == b"GNU.sparse.name").last();
        let sparse = sparse.map(|record| record.value_bytes().to_vec());
        let name = components(&sparse.unwrap_or_else(|| member.path_bytes().into_owned()));
        assert!(before.last().is_none_or(|last| *last < name), "not in order: {name:?}");
        if member.header().entry_type().is_hard_link() {
            let target = components(&member.link_name_bytes().expect("a target"));
            assert!(before.contains(&target), "before what it links to: {name:?}");
        }
        before.push(name);
    }
}
