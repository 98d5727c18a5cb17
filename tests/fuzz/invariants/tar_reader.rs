//! Any stream is refused, or written again canonically it has the same members with the same data; offsets ascend and lie
//! within it.

use std::io::{BufRead, Read, Write};

use oci2ext4::meta::{Entry, Named};
use oci2ext4::tar::{END_MARKER, Member, MemberBody, Reader, StoredFile, encode};

pub fn check(bytes: &[u8]) {
    check_stream(bytes);
    check_stream(&sealed(bytes));
}

/// A header of ustar; [`sealed`] gives it its checksum.
pub fn header(flag: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[0] = b'f';
    block[124..136].copy_from_slice(format!("{size:011o} ").as_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block
}

/// What an extended header says before a member: blocks.
pub fn extended(body: &[u8]) -> Vec<u8> {
    let mut blocks = header(b'x', body.len() as u64).to_vec();
    blocks.extend_from_slice(body);
    blocks.resize(blocks.len().next_multiple_of(512), 0);
    blocks
}

/// The stream with right checksums in all that looks like a header: no fuzzer guesses them, and what is behind them
/// wants to be tried.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

pub fn check_stream(bytes: &[u8]) {
    let Some(members) = read(bytes) else { return };
    let mut end = 0;
    for (member, data) in &members {
        assert!(member.offset >= end && member.offset <= bytes.len() as u64, "{member:?}");
        let Some(file) = member.entry.content() else { continue };
        assert!(file.data_offset > member.offset && file.data_offset <= bytes.len() as u64, "{member:?}");
        assert_eq!(data.len() as u64, file.stored);
        end = file.data_offset + file.stored;
        assert!(end <= bytes.len() as u64);
    }
    let Some(canonical) = write(&members) else { return };
    let again = read(&canonical).expect("the canonical archive is read");
    assert_eq!(again.len(), members.len());
    for ((member, data), (other, other_data)) in members.iter().zip(&again) {
        let same = (&member.path, what(member), &member.xattrs);
        assert_eq!((&other.path, what(other), &other.xattrs), same);
        // Nobody looks at the attributes of a hard link.
        assert!(matches!(member.entry, Entry::HardLink(_)) || member.meta == other.meta, "{member:?} {other:?}");
        let (Some(file), Some(other_file)) = (member.entry.content(), other.entry.content()) else { continue };
        for (at, byte) in spread(other_file, other_data) {
            let before = spread(file, data).find(|(offset, _)| *offset == at).map_or(0, |(_, byte)| byte);
            assert_eq!(byte, before, "{member:?} at {at}");
        }
    }
}

/// What a member is: of a file its size, for its holes may become wider.
fn what(member: &Member) -> Entry<u64> {
    member.entry.clone().map(|file| file.size)
}

/// Data bytes with their offsets in the file; a few of each segment.
fn spread<'a>(file: &'a StoredFile, data: &'a [u8]) -> impl Iterator<Item = (u64, u8)> + 'a {
    let all = [oci2ext4::tar::Segment { offset: 0, len: file.size }];
    let segments = file.sparse.clone().unwrap_or_else(|| all.to_vec());
    let mut at = 0;
    segments.into_iter().flat_map(move |segment| {
        let start = at;
        at += segment.len as usize;
        (0..segment.len.min(64)).map(move |i| (segment.offset + i, data[start + i as usize]))
    })
}

fn read(bytes: &[u8]) -> Option<Vec<(Member, Vec<u8>)>> {
    let mut reader = Reader::new(bytes);
    let mut members = Vec::new();
    while let Some(member) = reader.next_member().ok()? {
        let mut data = Vec::new();
        reader.data().read_to_end(&mut data).ok()?;
        assert!(reader.data().fill_buf().ok()?.is_empty());
        members.push((member, data));
    }
    reader.end().expect("a stream that was read ended somehow");
    Some(members)
}

fn write(members: &[(Member, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut archive = Vec::new();
    for (member, data) in members {
        let (entry, xattrs) = (member.entry.as_deref().map(StoredFile::layout), member.xattrs.clone());
        // What the reader takes and the writer refuses (a name that is empty) ends the comparison.
        let body = encode(&Named { path: &member.path, entry, meta: member.meta, xattrs }, &mut archive).ok()?;
        put(&mut archive, &body, member, data);
        archive.resize(archive.len() + body.padding, 0);
    }
    archive.extend_from_slice(&END_MARKER);
    Some(archive)
}

fn put(out: &mut Vec<u8>, body: &MemberBody, member: &Member, data: &[u8]) {
    let Some(segments) = member.entry.content().and_then(|file| file.sparse.as_ref()) else {
        assert_eq!(body.len(), data.len() as u64);
        return out.write_all(data).expect("a Vec takes all");
    };
    for wide in &body.segments {
        let mut file = vec![0; wide.len as usize];
        let mut at = 0;
        for segment in segments {
            if segment.offset >= wide.offset && segment.offset < wide.offset + wide.len {
                let start = (segment.offset - wide.offset) as usize;
                file[start..start + segment.len as usize].copy_from_slice(&data[at..at + segment.len as usize]);
            }
            at += segment.len as usize;
        }
        out.extend_from_slice(&file);
    }
}
