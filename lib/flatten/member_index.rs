//! What a layer holds, in few bytes, until the layers below it have been applied.
//!
//! A million entries may wait here, so names share what they have in common with the one before, numbers take as many
//! bytes as they need, and what most members share costs nothing (S5).

use super::content::FileRange;
use crate::meta::{Device, Entry, Metadata, Named, NodeKind, Timestamp, Xattrs};
use crate::tar::Segment;

/// The members of one layer in their order.
#[derive(Debug, Default)]
pub(super) struct MemberIndex {
    bytes: Vec<u8>,
    xattrs: Vec<Xattrs>,
    last: Last,
    /// How many members there are.
    pub(super) len: u64,
}

/// The member before, for both who write and who read.
#[derive(Debug, Default)]
struct Last {
    path: Vec<u8>,
    offset: u64,
    at: u64,
    meta: Option<Metadata>,
}

/// A member as it goes into an index and comes out.
#[derive(Debug)]
pub(super) struct IndexedMember<'a> {
    /// Where its header stands in the layer's stream.
    pub(super) offset: u64,
    /// The member.
    pub(super) member: Named<'a, FileRange>,
}

const FILE: u8 = 0;
const SPARSE: u8 = 1;
const DIRECTORY: u8 = 2;
const SYMLINK: u8 = 3;
const CHAR_DEVICE: u8 = 4;
const BLOCK_DEVICE: u8 = 5;
const FIFO: u8 = 6;
const HARD_LINK: u8 = 7;
const KIND: u8 = 7;
/// Owner and group are those of the member before.
const SAME_OWNER: u8 = 1 << 3;
const SAME_MODE: u8 = 1 << 4;
const SAME_MTIME: u8 = 1 << 5;
const HAS_XATTRS: u8 = 1 << 6;

impl MemberIndex {
    /// Whether there is no member.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a member.
    pub(super) fn push(&mut self, indexed: IndexedMember<'_>) {
        let IndexedMember { offset, member } = indexed;
        let kind = match &member.entry {
            Entry::Node(NodeKind::File(content)) if content.sparse.is_some() => SPARSE,
            Entry::Node(NodeKind::File(_)) => FILE,
            Entry::Node(NodeKind::Directory) => DIRECTORY,
            Entry::Node(NodeKind::Symlink(_)) => SYMLINK,
            Entry::Node(NodeKind::CharDevice(_)) => CHAR_DEVICE,
            Entry::Node(NodeKind::BlockDevice(_)) => BLOCK_DEVICE,
            Entry::Node(NodeKind::Fifo) => FIFO,
            Entry::HardLink(_) => HARD_LINK,
        };
        let (meta, last) = (&member.meta, self.last.meta);
        let flag = |same: bool, flag: u8| if same { flag } else { 0 };
        let flags = flag(last.is_some_and(|l| (l.uid, l.gid) == (meta.uid, meta.gid)), SAME_OWNER)
            | flag(last.is_some_and(|l| l.mode == meta.mode), SAME_MODE)
            | flag(last.is_some_and(|l| l.mtime == meta.mtime), SAME_MTIME)
            | flag(!member.xattrs.is_empty(), HAS_XATTRS);
        self.bytes.push(kind | flags);
        self.number(offset.wrapping_sub(self.last.offset));
        let shared = self.last.path.iter().zip(member.path).take_while(|(a, b)| a == b).count();
        self.number(shared as u64);
        self.text(&member.path[shared..]);
        if flags & SAME_OWNER == 0 {
            self.number(meta.uid.into());
            self.number(meta.gid.into());
        }
        if flags & SAME_MODE == 0 {
            self.number(meta.mode.into());
        }
        if flags & SAME_MTIME == 0 {
            self.number(zigzag(meta.mtime.secs));
            self.number(meta.mtime.nanos.into());
        }
        match &member.entry {
            Entry::Node(NodeKind::File(content)) => {
                self.number(content.at.wrapping_sub(self.last.at));
                self.number(content.size);
                self.last.at = content.at;
                if let Some(segments) = &content.sparse {
                    self.number(segments.len() as u64);
                    for segment in segments.iter() {
                        self.number(segment.offset);
                        self.number(segment.len);
                    }
                }
            }
            Entry::Node(NodeKind::Symlink(target)) => self.text(target),
            Entry::HardLink(target) => self.text(target),
            Entry::Node(NodeKind::CharDevice(device) | NodeKind::BlockDevice(device)) => {
                self.number(device.major.into());
                self.number(device.minor.into());
            }
            Entry::Node(NodeKind::Directory | NodeKind::Fifo) => {}
        }
        self.last.path.truncate(shared);
        self.last.path.extend_from_slice(&member.path[shared..]);
        self.last.offset = offset;
        self.last.meta = Some(member.meta);
        if !member.xattrs.is_empty() {
            self.xattrs.push(member.xattrs);
        }
        self.len += 1;
    }

    /// No member comes any more: gives back what was reserved for them.
    pub(super) fn end(&mut self) {
        self.bytes.shrink_to_fit();
        self.xattrs.shrink_to_fit();
        self.last = Last::default();
    }

    /// Reads from the first member on; `layer` is the number of the layer.
    pub(super) fn read(&self, layer: u32) -> Read<'_> {
        Read { left: &self.bytes, xattrs: self.xattrs.iter(), last: Last::default(), layer }
    }

    /// LEB128.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(low7(value) | 0x80);
            value >>= 7;
        }
        self.bytes.push(low7(value));
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }
}

/// Reads an [`MemberIndex`].
#[derive(Debug)]
pub(super) struct Read<'i> {
    left: &'i [u8],
    xattrs: std::slice::Iter<'i, Xattrs>,
    last: Last,
    layer: u32,
}

impl Read<'_> {
    /// The next member.
    pub(super) fn next(&mut self) -> Option<IndexedMember<'_>> {
        let (&first, rest) = self.left.split_first()?;
        self.left = rest;
        let offset = self.last.offset.wrapping_add(self.number());
        self.last.offset = offset;
        let shared = self.size();
        self.last.path.truncate(shared);
        let suffix = self.text();
        self.last.path.extend_from_slice(suffix);
        let mut meta = self.last.meta.unwrap_or(Metadata::IMPLIED_DIRECTORY);
        if first & SAME_OWNER == 0 {
            (meta.uid, meta.gid) = (self.number32(), self.number32());
        }
        if first & SAME_MODE == 0 {
            meta.mode = u16::try_from(self.number()).unwrap_or_default();
        }
        if first & SAME_MTIME == 0 {
            meta.mtime = Timestamp { secs: unzigzag(self.number()), nanos: self.number32() };
        }
        self.last.meta = Some(meta);
        let entry = match first & KIND {
            kind @ (FILE | SPARSE) => {
                let at = self.last.at.wrapping_add(self.number());
                self.last.at = at;
                let size = self.number();
                let sparse = (kind == SPARSE).then(|| {
                    let segments = self.size();
                    Box::new((0..segments).map(|_| Segment { offset: self.number(), len: self.number() }).collect())
                });
                Entry::Node(NodeKind::File(FileRange { layer: self.layer, at, size, sparse }))
            }
            DIRECTORY => Entry::Node(NodeKind::Directory),
            SYMLINK => Entry::Node(NodeKind::Symlink(self.text().into())),
            CHAR_DEVICE => Entry::Node(NodeKind::CharDevice(self.device())),
            BLOCK_DEVICE => Entry::Node(NodeKind::BlockDevice(self.device())),
            FIFO => Entry::Node(NodeKind::Fifo),
            _ => Entry::HardLink(self.text().into()),
        };
        let xattrs = if first & HAS_XATTRS == 0 { None } else { self.xattrs.next().cloned() };
        let member = Named { path: &self.last.path, entry, meta, xattrs: xattrs.unwrap_or_default() };
        Some(IndexedMember { offset, member })
    }

    // The bytes were written above, in memory that nobody else has, so nothing can be missing from them.

    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        while let Some((&byte, rest)) = self.left.split_first() {
            self.left = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        value
    }

    fn number32(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or_default()
    }

    fn size(&mut self) -> usize {
        usize::try_from(self.number()).unwrap_or_default()
    }

    fn device(&mut self) -> Device {
        Device { major: self.number32(), minor: self.number32() }
    }
}

impl<'i> Read<'i> {
    fn text(&mut self) -> &'i [u8] {
        let len = self.size().min(self.left.len());
        let (text, rest) = self.left.split_at(len);
        self.left = rest;
        text
    }
}

impl IndexedMember<'_> {
    /// What whiteouts want to know of it.
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.member.entry, Entry::Node(NodeKind::Directory))
    }
}

fn low7(value: u64) -> u8 {
    // Seven bits fit.
    u8::try_from(value & 0x7f).unwrap_or_default()
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Xattr;

    #[test]
    fn what_goes_in_comes_out() {
        let meta = |mode, uid, secs, nanos| Metadata { mode, uid, gid: 7, mtime: Timestamp { secs, nanos } };
        let xattr = Xattr { name: (*b"user.a").into(), value: (*b"\0").into() };
        let segments = vec![Segment { offset: 512, len: 1 }, Segment { offset: 1 << 40, len: 3 }];
        let file = |at, size, sparse: Option<Vec<Segment>>| {
            Entry::Node(NodeKind::File(FileRange { layer: 3, at, size, sparse: sparse.map(Box::new) }))
        };
        let node = Entry::Node;
        let device = Device { major: 4095, minor: u32::MAX };
        type Row<'a> = (u64, &'a [u8], Entry<FileRange>, Metadata, Xattrs);
        let none = Xattrs::NONE;
        let rows: Vec<Row<'_>> = vec![
            (0, b"./", node(NodeKind::Directory), meta(0o755, 0, 0, 0), none.clone()),
            (512, b"a/b", file(1024, 5, None), meta(0o7777, 0, -1, 999_999_999), none.clone()),
            (2048, b"a/bc", file(4096, 1 << 41, Some(segments)), meta(0o7777, u32::MAX, i64::MIN, 1), none.clone()),
            (
                9000,
                b"a/b",
                node(NodeKind::Symlink((*b"x\xff").into())),
                meta(0, 1, i64::MAX, 0),
                Xattrs::new(vec![xattr]),
            ),
            (9512, b"", node(NodeKind::CharDevice(device)), meta(0, 1, i64::MAX, 0), none.clone()),
            (9512, b"z", node(NodeKind::BlockDevice(device)), meta(1, 1, i64::MAX, 0), none.clone()),
            (10, b"zz", node(NodeKind::Fifo), meta(1, 1, 5, 0), none.clone()),
            (u64::MAX, b"zz", Entry::HardLink((*b"a/b").into()), meta(1, 1, 5, 0), none.clone()),
            (0, b"q", file(0, 0, Some(Vec::new())), meta(1, 1, 5, 0), none),
        ];
        let mut index = MemberIndex::default();
        for (offset, path, entry, meta, xattrs) in rows.clone() {
            index.push(IndexedMember { offset, member: Named { path, entry, meta, xattrs } });
        }
        index.end();
        assert_eq!(index.len, rows.len() as u64);
        let mut read = index.read(3);
        for row in rows {
            let shown = read.next().map(|IndexedMember { offset, member }| {
                format!("{:?}", (offset, member.path, member.entry, member.meta, member.xattrs))
            });
            assert_eq!(shown, Some(format!("{row:?}")));
        }
        assert!(read.next().is_none());
    }
}
