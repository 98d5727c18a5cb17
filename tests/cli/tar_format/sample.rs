//! Members with their content: at random over all that a member can be, written and read.

use std::io::Read;

use fastrand::Rng;

use oci2ext4::meta::{Device, Entry, Metadata, Named, NodeKind, Timestamp, Xattr, Xattrs};
use oci2ext4::tar::*;

/// A member with its content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub path: Vec<u8>,
    pub entry: Entry<()>,
    pub meta: Metadata,
    pub xattrs: Xattrs,
    pub content: Vec<u8>,
    pub sparse: Option<Vec<Segment>>,
}

pub(super) fn write(samples: &[Sample]) -> Vec<u8> {
    let mut archive = Vec::new();
    for s in samples {
        let layout = FileLayout { size: s.content.len() as u64, sparse: s.sparse.as_deref() };
        let (entry, xattrs) = (s.entry.as_deref().map(|()| layout), s.xattrs.clone());
        let body = encode(&Named { path: &s.path, entry, meta: s.meta, xattrs }, &mut archive).unwrap();
        for Segment { offset, len } in &body.segments {
            let (offset, len) = (usize::try_from(*offset).unwrap(), usize::try_from(*len).unwrap());
            archive.extend_from_slice(&s.content[offset..offset + len]);
        }
        archive.resize(archive.len() + body.padding, 0);
    }
    archive.extend_from_slice(&END_MARKER);
    assert_eq!(archive.len() % BLOCK, 0);
    archive
}

pub(super) fn read(archive: &[u8]) -> Result<(Vec<Sample>, Option<End>), Error> {
    let mut reader = Reader::new(archive);
    let mut samples = Vec::new();
    while let Some(m) = reader.next_member()? {
        let data_offset = reader.offset();
        let mut stored = Vec::new();
        reader.data().read_to_end(&mut stored).map_err(|e| Error::try_from(e).unwrap())?;
        let Member { path, entry, meta, xattrs, .. } = m;
        let (mut content, mut sparse) = (stored, None);
        let entry = entry.map(|file| {
            assert_eq!((file.data_offset, file.stored), (data_offset, content.len() as u64));
            if let Some(segments) = &file.sparse {
                let mut rest = &*content;
                let mut whole = vec![0; usize::try_from(file.size).unwrap()];
                for s in segments {
                    let (offset, len) = (usize::try_from(s.offset).unwrap(), usize::try_from(s.len).unwrap());
                    whole[offset..offset + len].copy_from_slice(&rest[..len]);
                    rest = &rest[len..];
                }
                assert!(rest.is_empty());
                content = whole;
            }
            sparse = file.sparse;
        });
        samples.push(Sample { path, entry, meta, xattrs, content, sparse });
    }
    Ok((samples, reader.end()))
}

/// Random bytes, sometimes any, sometimes letters.
fn bytes(rng: &mut Rng, len: usize, any: bool) -> Vec<u8> {
    let mut letter = || if any { rng.u8(1..) } else { rng.u8(b'a'..=b'z') };
    (0..len)
        .map(|_| match letter() {
            b'/' => b'_',
            b => b,
        })
        .collect()
}

fn name(rng: &mut Rng) -> Vec<u8> {
    let parts = if rng.u8(..10) == 0 { 30 } else { rng.usize(1..4) };
    let any = rng.u8(..4) == 0;
    let part = |rng: &mut Rng| {
        let len = if rng.u8(..6) == 0 { rng.usize(90..=255) } else { rng.usize(1..20) };
        bytes(rng, len, any)
    };
    (0..parts).map(|_| part(rng)).collect::<Vec<_>>().join(&b'/')
}

pub(super) fn random(rng: &mut Rng) -> Sample {
    let number = |rng: &mut Rng| rng.u32(..) >> rng.u32(..32);
    let device = |rng: &mut Rng| Device { major: number(rng), minor: number(rng) };
    let entry = match rng.u8(..10) {
        0 => Entry::Node(NodeKind::Directory),
        1 => Entry::Node(NodeKind::Symlink(name(rng).into())),
        2 => Entry::HardLink(name(rng).into()),
        3 => Entry::Node(NodeKind::Fifo),
        4 => Entry::Node(NodeKind::CharDevice(device(rng))),
        5 => Entry::Node(NodeKind::BlockDevice(device(rng))),
        _ => Entry::Node(NodeKind::File(())),
    };
    let mut path = name(rng);
    if entry == Entry::Node(NodeKind::Directory) {
        path.push(b'/');
    }
    let id = |rng: &mut Rng| if rng.bool() { rng.u32(..100_000) } else { rng.u32(..) };
    let secs = match rng.u8(..4) {
        0 => rng.i64(..) >> rng.u32(..64),
        _ => rng.i64(..2_000_000_000),
    };
    let nanos = match rng.u8(..4) {
        0 => rng.u32(..1_000_000_000),
        1 => rng.u32(..10) * 100_000_000,
        _ => 0,
    };
    let meta = Metadata { mode: rng.u16(..0o10000), uid: id(rng), gid: id(rng), mtime: Timestamp { secs, nanos } };
    let xattrs = (0..rng.usize(..12).saturating_sub(8)).map(|_| {
        let any = rng.bool();
        let name_len = rng.usize(1..20);
        let name = [b"user.", &*bytes(rng, name_len, any)].concat();
        let len = rng.usize(..2000);
        Xattr { name, value: (0..len).map(|_| rng.u8(..)).collect() }
    });
    let xattrs = Xattrs::new(xattrs.collect());
    let mut sample = Sample { path, entry, meta, xattrs, content: Vec::new(), sparse: None };
    if sample.entry == Entry::Node(NodeKind::File(())) {
        sample.content = vec![0; rng.usize(..20_000)];
        let whole = rng.bool();
        let mut at = 0;
        let mut segments = Vec::new();
        while at < sample.content.len() {
            let end = if whole { sample.content.len() } else { sample.content.len().min(at + rng.usize(1..4000)) };
            if whole || rng.bool() {
                sample.content[at..end].fill_with(|| rng.u8(1..));
                segments.push(Segment { offset: at as u64, len: (end - at) as u64 });
            }
            at = end;
        }
        sample.sparse = Some(segments).filter(|_| !whole);
    }
    sample
}
