//! The members of a layer, compactly, until the layers below it have been applied.
//!
//! A million entries may wait here, so a name, or a hard link's target, is stored without the prefix that it shares with the
//! previous one, numbers take only the bytes they need, and values that rarely change cost nothing. The index consists of
//! chunks, each of which is freed once its members are in the tree, so that names and targets are not held twice (S5).

use std::borrow::Borrow;

use super::content::FileRange;
use crate::meta::leb128::{put, put_text, take, take_text};
use crate::meta::{Device, Entry, Metadata, Named, NodeKind, Timestamp, Xattrs};
use crate::tar::Segment;

/// The size of a chunk, large enough for the allocator to return it to the system at once.
const CHUNK: usize = 1 << 20;

/// The members of one layer in their order.
#[derive(Debug, Default)]
pub(super) struct MemberIndex {
    chunks: Vec<Chunk>,
    last: PreviousMember,
    /// How many members there are.
    pub(super) len: u64,
}

/// Consecutive members.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    xattrs: Vec<Xattrs>,
}

/// The previous member, for writing and reading.
#[derive(Debug, Default)]
struct PreviousMember {
    path: Vec<u8>,
    /// The target of the last hard link.
    target: Vec<u8>,
    offset: u64,
    at: u64,
    meta: Option<Metadata>,
}

/// A member on its way into an index or out of it.
#[derive(Debug)]
pub(super) struct IndexedMember<'a> {
    /// The offset of its header in the layer's stream.
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
/// Owner and group are those of the previous member.
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
        if self.chunks.last().is_none_or(|chunk| chunk.bytes.len() >= CHUNK) {
            self.end_chunk();
            self.chunks.push(Chunk::default());
        }
        let Some(chunk) = self.chunks.last_mut() else { return };
        let out = &mut chunk.bytes;
        out.push(kind | flags);
        put(out, offset.wrapping_sub(self.last.offset));
        put_rest(out, &mut self.last.path, member.path);
        if flags & SAME_OWNER == 0 {
            put(out, meta.uid.into());
            put(out, meta.gid.into());
        }
        if flags & SAME_MODE == 0 {
            put(out, meta.mode.into());
        }
        if flags & SAME_MTIME == 0 {
            put(out, zigzag(meta.mtime.secs));
            put(out, meta.mtime.nanos.into());
        }
        match &member.entry {
            Entry::Node(NodeKind::File(content)) => {
                put(out, content.at.wrapping_sub(self.last.at));
                put(out, content.size);
                self.last.at = content.at;
                if let Some(segments) = &content.sparse {
                    put(out, segments.len() as u64);
                    for segment in segments.iter() {
                        put(out, segment.offset);
                        put(out, segment.len);
                    }
                }
            }
            Entry::Node(NodeKind::Symlink(target)) => put_text(out, target),
            Entry::HardLink(target) => put_rest(out, &mut self.last.target, target),
            Entry::Node(NodeKind::CharDevice(device) | NodeKind::BlockDevice(device)) => {
                put(out, device.major.into());
                put(out, device.minor.into());
            }
            Entry::Node(NodeKind::Directory | NodeKind::Fifo) => {}
        }
        self.last.offset = offset;
        self.last.meta = Some(member.meta);
        if !member.xattrs.is_empty() {
            chunk.xattrs.push(member.xattrs);
        }
        self.len += 1;
    }

    /// All members have been added: frees excess memory.
    pub(super) fn end(&mut self) {
        self.end_chunk();
        self.last = PreviousMember::default();
    }

    fn end_chunk(&mut self) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.bytes.shrink_to_fit();
            chunk.xattrs.shrink_to_fit();
        }
    }

    /// Reads from the first member on; `layer` is the number of the layer.
    pub(super) fn read(&self, layer: u32) -> impl ReadMembers {
        Read::new(self.chunks.iter(), layer)
    }

    /// Likewise, for the last time: chunks are freed as they are read.
    pub(super) fn into_read(self, layer: u32) -> impl ReadMembers {
        Read::new(self.chunks.into_iter(), layer)
    }
}

/// Reads a [`MemberIndex`].
pub(super) trait ReadMembers {
    /// The next member.
    fn next(&mut self) -> Option<IndexedMember<'_>>;
}

/// Reads chunks, borrowed or owned.
#[derive(Debug)]
struct Read<I: Iterator> {
    chunks: I,
    chunk: Option<I::Item>,
    /// How far this chunk has been read.
    at: usize,
    xattrs_at: usize,
    last: PreviousMember,
    layer: u32,
}

impl<I: Iterator> Read<I> {
    fn new(mut chunks: I, layer: u32) -> Self {
        let chunk = chunks.next();
        Self { chunks, chunk, at: 0, xattrs_at: 0, last: PreviousMember::default(), layer }
    }
}

impl<I: Iterator<Item: Borrow<Chunk>>> ReadMembers for Read<I> {
    fn next(&mut self) -> Option<IndexedMember<'_>> {
        if self.chunk.as_ref()?.borrow().bytes.len() == self.at {
            // Free this one before touching the next.
            self.chunk = None;
            self.chunk = self.chunks.next();
            (self.at, self.xattrs_at) = (0, 0);
        }
        let chunk: &Chunk = self.chunk.as_ref()?.borrow();
        let (&first, mut left) = chunk.bytes.get(self.at..)?.split_first()?;
        let left = &mut left;
        let offset = self.last.offset.wrapping_add(take(left));
        self.last.offset = offset;
        take_rest(left, &mut self.last.path);
        let mut meta = self.last.meta.unwrap_or(Metadata::IMPLIED_DIRECTORY);
        if first & SAME_OWNER == 0 {
            (meta.uid, meta.gid) = (take32(left), take32(left));
        }
        if first & SAME_MODE == 0 {
            meta.mode = u16::try_from(take(left)).unwrap_or_default();
        }
        if first & SAME_MTIME == 0 {
            meta.mtime = Timestamp { secs: unzigzag(take(left)), nanos: take32(left) };
        }
        self.last.meta = Some(meta);
        let entry = match first & KIND {
            kind @ (FILE | SPARSE) => {
                let at = self.last.at.wrapping_add(take(left));
                self.last.at = at;
                let size = take(left);
                let sparse = (kind == SPARSE).then(|| {
                    let segments = take_size(left);
                    Box::new((0..segments).map(|_| Segment { offset: take(left), len: take(left) }).collect())
                });
                Entry::Node(NodeKind::File(FileRange { layer: self.layer, at, size, sparse }))
            }
            DIRECTORY => Entry::Node(NodeKind::Directory),
            SYMLINK => Entry::Node(NodeKind::Symlink(take_text(left).into())),
            CHAR_DEVICE => Entry::Node(NodeKind::CharDevice(take_device(left))),
            BLOCK_DEVICE => Entry::Node(NodeKind::BlockDevice(take_device(left))),
            FIFO => Entry::Node(NodeKind::Fifo),
            _ => {
                take_rest(left, &mut self.last.target);
                Entry::HardLink((*self.last.target).into())
            }
        };
        let mut xattrs = Xattrs::NONE;
        if first & HAS_XATTRS != 0 {
            xattrs = chunk.xattrs.get(self.xattrs_at).cloned().unwrap_or_default();
            self.xattrs_at += 1;
        }
        self.at = chunk.bytes.len() - left.len();
        let member = Named { path: &self.last.path, entry, meta, xattrs };
        Some(IndexedMember { offset, member })
    }
}

/// Adds a text without the prefix that it shares with the `last` one.
fn put_rest(out: &mut Vec<u8>, last: &mut Vec<u8>, text: &[u8]) {
    let shared = last.iter().zip(text).take_while(|(a, b)| a == b).count();
    put(out, shared as u64);
    put_text(out, &text[shared..]);
    last.truncate(shared);
    last.extend_from_slice(&text[shared..]);
}

/// Changes the `last` text into the next one.
fn take_rest(left: &mut &[u8], last: &mut Vec<u8>) {
    last.truncate(take_size(left));
    last.extend_from_slice(take_text(left));
}

fn take32(left: &mut &[u8]) -> u32 {
    u32::try_from(take(left)).unwrap_or_default()
}

fn take_size(left: &mut &[u8]) -> usize {
    usize::try_from(take(left)).unwrap_or_default()
}

fn take_device(left: &mut &[u8]) -> Device {
    Device { major: take32(left), minor: take32(left) }
}

impl IndexedMember<'_> {
    /// Whether it is a directory, which matters for whiteouts.
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.member.entry, Entry::Node(NodeKind::Directory))
    }
}

fn zigzag(value: i64) -> u64 {
    u64::from_ne_bytes(((value << 1) ^ (value >> 63)).to_ne_bytes())
}

fn unzigzag(value: u64) -> i64 {
    i64::from_ne_bytes(((value >> 1) ^ (value & 1).wrapping_neg()).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::meta::Xattr;

    #[test]
    fn what_goes_in_comes_out() {
        let meta = |mode, uid, secs, nanos| Metadata { mode, uid, gid: 7, mtime: Timestamp { secs, nanos } };
        let xattr = Xattr { name: &b"user.a"[..], value: b"\0" };
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
        let check = |read: &mut dyn ReadMembers| {
            for row in &rows {
                let shown = read.next().map(|IndexedMember { offset, member }| {
                    format!("{:?}", (offset, member.path, member.entry, member.meta, member.xattrs))
                });
                assert_eq!(shown, Some(format!("{row:?}")));
            }
            assert!(read.next().is_none());
        };
        check(&mut index.read(3));
        check(&mut index.into_read(3));
    }

    #[test]
    fn members_of_several_chunks() {
        let name = |at: u32| format!("{:0>500}", u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes();
        let value = |at: u32| at.to_le_bytes();
        let mut index = MemberIndex::default();
        for at in 0..9000 {
            let xattr = Xattr { name: &b"user.a"[..], value: &value(at) };
            let xattrs = Xattrs::new(if at % 3 == 0 { vec![xattr] } else { Vec::new() });
            let entry = Entry::Node(NodeKind::Symlink(name(at).into()));
            let member = Named { path: &name(at), entry, meta: Metadata::IMPLIED_DIRECTORY, xattrs };
            index.push(IndexedMember { offset: u64::from(at) * 512, member });
        }
        index.end();
        assert!(index.chunks.len() > 3, "{}", index.chunks.len());
        let mut read = index.into_read(0);
        for at in 0..9000 {
            let IndexedMember { offset, member } = read.next().unwrap();
            assert_eq!((offset, member.path), (u64::from(at) * 512, &name(at)[..]));
            assert_eq!(member.entry, Entry::Node(NodeKind::Symlink(name(at).into())));
            assert_eq!(member.xattrs.get(b"user.a"), (at % 3 == 0).then_some(&value(at)[..]));
        }
        assert!(read.next().is_none());
    }
}
