//! Tars, byte by byte, as a hostile mind writes them.

pub fn each(n: usize, part: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..n).flat_map(part).collect()
}

pub fn file(name: &str) -> Vec<u8> {
    member(name, b'0', "", b"")
}

/// A member, with an extended header for what its own has no room for.
pub fn member(name: &str, flag: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let long = [("path", name), ("linkpath", link)].map(|(keyword, text)| match text.len() {
        0..=100 => Vec::new(),
        _ => record(keyword, text.as_bytes()),
    });
    let long = long.concat();
    let before = if long.is_empty() { Vec::new() } else { extension(b'x', &long) };
    [before, header(name, flag, link, data.len()), padded(data.to_vec())].concat()
}

pub fn extension(flag: u8, records: &[u8]) -> Vec<u8> {
    [header("extended", flag, "", records.len()), padded(records.to_vec())].concat()
}

pub fn record(keyword: &str, value: &[u8]) -> Vec<u8> {
    let rest = keyword.len() + value.len() + 3;
    let len = (1..).find(|len| rest + len.to_string().len() == *len).unwrap();
    [format!("{len} {keyword}=").as_bytes(), value, b"\n"].concat()
}

pub fn header(name: &str, flag: u8, link: &str, size: usize) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let old = header.as_old_mut();
    for (field, text) in [(&mut old.name, name), (&mut old.linkname, link)] {
        let len = text.len().min(field.len());
        field[..len].copy_from_slice(&text.as_bytes()[..len]);
    }
    header.set_mode(0o644);
    header.set_size(size as u64);
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Gives a header that was changed its right sum.
pub fn sealed(mut header: Vec<u8>) -> Vec<u8> {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

pub fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
