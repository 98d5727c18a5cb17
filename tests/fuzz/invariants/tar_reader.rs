//! Any stream is refused, or written again canonically it has the same members with the same data; offsets ascend and lie
//! within it.

use std::io::{BufRead, Read, Write};

use oci2ext4::tar::{Body, Entry, EntryKind, Member, MemberKind, Reader, Writer};

pub fn check(bytes: &[u8]) {
    check_stream(bytes);
    check_stream(&sealed(bytes));
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

fn check_stream(bytes: &[u8]) {
    let Some(members) = read(bytes) else { return };
    let mut end = 0;
    for (member, data) in &members {
        assert!(member.offset >= end && member.data_offset <= bytes.len() as u64, "{member:?}");
        assert_eq!(data.len() as u64, member.stored);
        end = member.data_offset + member.stored;
        assert!(end <= bytes.len() as u64);
    }
    let Some(canonical) = write(&members) else { return };
    let again = read(&canonical).expect("the canonical archive is read");
    assert_eq!(again.len(), members.len());
    for ((member, data), (other, other_data)) in members.iter().zip(&again) {
        let same = (&member.path, &member.kind, &member.xattrs, member.size);
        assert_eq!((&other.path, &other.kind, &other.xattrs, other.size), same);
        // Nobody looks at the attributes of a hard link.
        assert!(matches!(member.kind, MemberKind::HardLink(_)) || member.meta == other.meta, "{member:?} {other:?}");
        for (at, byte) in spread(other, other_data) {
            let before = spread(member, data).find(|(offset, _)| *offset == at).map_or(0, |(_, byte)| byte);
            assert_eq!(byte, before, "{member:?} at {at}");
        }
    }
}

/// Data bytes with their offsets in the file; a few of each segment.
fn spread<'a>(member: &'a Member, data: &'a [u8]) -> impl Iterator<Item = (u64, u8)> + 'a {
    let all = [oci2ext4::tar::Segment { offset: 0, len: member.size }];
    let segments = member.sparse.clone().unwrap_or_else(|| all.to_vec());
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
    let mut writer = Writer::new(Vec::new());
    for (member, data) in members {
        let kind = match &member.kind {
            MemberKind::File => EntryKind::File { size: member.size, sparse: member.sparse.as_deref() },
            MemberKind::HardLink(target) => EntryKind::HardLink(target),
            MemberKind::Symlink(target) => EntryKind::Symlink(target),
            MemberKind::Directory => EntryKind::Directory,
            MemberKind::CharDevice(device) => EntryKind::CharDevice(*device),
            MemberKind::BlockDevice(device) => EntryKind::BlockDevice(*device),
            MemberKind::Fifo => EntryKind::Fifo,
        };
        // What the reader takes and the writer refuses (a name that is empty) ends the comparison.
        let body =
            writer.header(&Entry { path: &member.path, kind, meta: &member.meta, xattrs: &member.xattrs }).ok()?;
        put(writer.get_mut(), &body, member, data);
        writer.pad(&body).expect("a Vec takes all");
    }
    Some(writer.finish().expect("a Vec takes all"))
}

fn put(out: &mut Vec<u8>, body: &Body, member: &Member, data: &[u8]) {
    let Some(segments) = &member.sparse else {
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
