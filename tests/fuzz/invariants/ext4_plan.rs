//! A tree and the options of its image, decoded from a fuzzer's bytes: whatever they are, the tree keeps the writer's
//! contract, but names, attributes and sizes may be such that ext4 cannot hold them.

use std::collections::BTreeMap;

use oci2ext4::ext4::{Error, FileData, FileTree, Free, ImageWriter, InodeRef, Journal, Options, Percent, Target};
use oci2ext4::meta::{Device, Metadata, NodeKind, Timestamp, Xattr, Xattrs};

use super::input::Input;

/// Bytes of content in one image, so that an input takes milliseconds.
const CONTENT: u64 = 12 << 20;
/// Names in one image.
const NAMES: usize = 6000;

/// A tree of [`Node`]s; the root is the first.
pub struct Plan {
    pub nodes: Vec<Node>,
    names: usize,
    content: u64,
}

/// Where in a file, and its bytes there.
type Segment = (u64, Vec<u8>);

pub struct Node {
    pub meta: Metadata,
    pub xattrs: Xattrs,
    pub kind: NodeKind<FileData>,
    /// Names in a directory.
    pub children: BTreeMap<Vec<u8>, u32>,
    /// A file's bytes, those that were handed over; all else is hole.
    pub segments: Vec<Segment>,
}

impl FileTree for Plan {
    fn inodes(&self) -> u32 {
        self.nodes.len() as u32
    }

    fn root(&self) -> u32 {
        0
    }

    fn inode(&self, id: u32) -> InodeRef<'_> {
        let Node { meta, xattrs, kind, .. } = &self.nodes[id as usize];
        InodeRef { meta, xattrs, kind }
    }

    fn children(&self, id: u32) -> impl Iterator<Item = (&[u8], u32)> {
        self.nodes[id as usize].children.iter().map(|(name, id)| (&name[..], *id))
    }
}

/// What the image is to be.
pub fn options(input: &mut Input<'_>) -> Options {
    let flags = input.byte();
    let has = |bit: u8| flags >> bit & 1 == 1;
    let mut options = Options { compat: has(0), no_sparse: has(1), free: Free::Bytes(0), ..Options::default() };
    if has(2) {
        options.journal = Some(if has(0) { Journal::Auto } else { Journal::Bytes(input.number(2) << 10) });
    }
    if has(3) {
        // Up to 256 MiB, in steps that are no blocks.
        options.size = Some((input.number(2) << 12) + input.number(1));
    }
    if has(4) {
        options.inodes = Some(input.number(2) as u32);
    }
    if has(5) {
        options.bytes_per_inode = Some(input.number(2) << 4);
    }
    if has(6) {
        options.free = Free::Percent(Percent::from_hundredths(input.number(2) as u32 % 92_00));
    }
    if has(7) {
        options.reserved = Percent::from_hundredths(input.number(2) as u32 % 52_00);
        let len = input.below(18);
        options.label = input.bytes(len).to_vec();
    }
    options
}

impl Plan {
    /// Reads a tree, and writes the content of its files.
    pub fn write(input: &mut Input<'_>, writer: &mut ImageWriter<impl Target>) -> Result<Self, Error> {
        let mut plan = Self { nodes: Vec::new(), names: 0, content: 0 };
        plan.add(NodeKind::Directory);
        while !input.is_empty() {
            plan.step(input, writer)?;
        }
        Ok(plan)
    }

    fn step(&mut self, input: &mut Input<'_>, writer: &mut ImageWriter<impl Target>) -> Result<(), Error> {
        match input.byte() % 10 {
            0 => self.enter(input, NodeKind::Directory),
            1 => {
                let (data, segments) = self.content(input, writer)?;
                self.enter(input, NodeKind::File(data));
                self.nodes.last_mut().expect("the root").segments = segments;
            }
            2 => drop(self.content(input, writer)?), // a file that was replaced
            3 => {
                let len = input.one_of(&[1, 5, 59, 60, 61, 4095, 4096, 0]) + input.below(3);
                let byte = input.byte();
                let kind = NodeKind::Symlink(vec![byte; len].into());
                self.enter(input, kind);
            }
            4 => {
                let device = Device { major: input.number(2) as u32 % 4100, minor: input.number(3) as u32 };
                let kind =
                    if input.byte() % 2 == 0 { NodeKind::CharDevice(device) } else { NodeKind::BlockDevice(device) };
                self.enter(input, kind);
            }
            5 => self.enter(input, NodeKind::Fifo),
            6 => {
                let id = self.any(input);
                if !matches!(self.nodes[id as usize].kind, NodeKind::Directory) {
                    self.name(input, id);
                }
            }
            7 => self.many(input),
            8 => {
                let id = self.any(input) as usize;
                self.nodes[id].xattrs = xattrs(input);
            }
            _ => {
                let id = self.any(input) as usize;
                self.nodes[id].meta = meta(input);
            }
        }
        Ok(())
    }

    fn any(&self, input: &mut Input<'_>) -> u32 {
        input.below(self.nodes.len()) as u32
    }

    fn directory(&self, input: &mut Input<'_>) -> usize {
        let id = self.any(input) as usize;
        if matches!(self.nodes[id].kind, NodeKind::Directory) { id } else { 0 }
    }

    fn add(&mut self, kind: NodeKind<FileData>) -> u32 {
        let meta = Metadata { mode: 0o644, ..Metadata::IMPLIED_DIRECTORY };
        self.nodes.push(Node { meta, xattrs: Xattrs::NONE, kind, children: BTreeMap::new(), segments: Vec::new() });
        self.nodes.len() as u32 - 1
    }

    fn enter(&mut self, input: &mut Input<'_>, kind: NodeKind<FileData>) {
        let id = self.add(kind);
        self.name(input, id);
    }

    /// A name, made up where the input has none that is new: an inode without a name is against the contract.
    fn name(&mut self, input: &mut Input<'_>, id: u32) {
        let mut dir = self.directory(input);
        if dir == id as usize {
            dir = 0;
        }
        let len = match input.byte() {
            254 => 255,
            255 => 256,
            len => usize::from(len % 24),
        };
        let mut name = input.bytes(len).to_vec();
        name.resize(len, b'n');
        if self.nodes[dir].children.contains_key(&name) {
            name = format!("name {}", self.names).into_bytes();
        }
        self.put(dir, name, id);
    }

    fn put(&mut self, dir: usize, name: Vec<u8>, id: u32) {
        self.names += 1;
        self.nodes[dir].children.insert(name, id);
    }

    /// Many names in one directory: an index of one or two levels.
    fn many(&mut self, input: &mut Input<'_>) {
        let dir = self.directory(input);
        let (count, len, kind) = (input.below(2500), input.below(250), input.byte());
        let link = self.any(input);
        for _ in 0..count.min(NAMES.saturating_sub(self.names)) {
            let name = format!("{:0len$}", self.names).into_bytes();
            if self.nodes[dir].children.contains_key(&name) {
                continue;
            }
            let id = match kind % 3 {
                0 => self.add(NodeKind::Directory),
                1 if !matches!(self.nodes[link as usize].kind, NodeKind::Directory) => link,
                _ => self.add(NodeKind::File(FileData::EMPTY)),
            };
            self.put(dir, name, id);
        }
    }

    fn content(
        &mut self,
        input: &mut Input<'_>,
        writer: &mut ImageWriter<impl Target>,
    ) -> Result<(FileData, Vec<Segment>), Error> {
        let mut segments = Vec::new();
        let mut end = 0;
        for _ in 0..input.byte() % 5 {
            let shift = input.byte() % 44;
            let gap = input.number(2) << shift >> 16;
            let len = (input.number(2) << (input.byte() % 10)).min(CONTENT - self.content);
            let (seed, zeros) = (input.byte(), input.byte() % 3);
            self.content += len;
            // Blocks of zeros never, everywhere, or every other one.
            let value = |block: u64| if zeros > 0 && (zeros == 1 || block % 2 == 0) { 0 } else { seed ^ block as u8 };
            let (start, mut data) = (end + gap, Vec::new());
            while (data.len() as u64) < len {
                let at = start + data.len() as u64;
                let until = (at / 4096 + 1) * 4096;
                data.resize((until.min(start + len) - start) as usize, value(at / 4096));
            }
            segments.push((start, data));
            end += gap + len;
        }
        let size = end + input.number(2);
        let stored: Vec<u8> = segments.iter().flat_map(|(_, data)| data).copied().collect();
        let ranges = segments.iter().map(|(at, data)| (*at, data.len() as u64));
        Ok((writer.write_sparse(&mut &stored[..], size, ranges)?, segments))
    }
}

fn meta(input: &mut Input<'_>) -> Metadata {
    let secs = input.one_of(&[0, i64::from(i32::MIN), i64::from(i32::MAX), 1 << 32, 3 << 32, 10_737_000_000, -1 << 40]);
    let mtime = Timestamp { secs: secs + input.number(1) as i64 - 128, nanos: input.number(4) as u32 % 1_000_000_000 };
    Metadata { mode: input.number(2) as u16 & 0o7777, uid: input.number(4) as u32, gid: input.number(4) as u32, mtime }
}

fn xattrs(input: &mut Input<'_>) -> Xattrs {
    let mut list: Vec<Xattr> = Vec::new();
    for _ in 0..input.byte() % 8 {
        let prefix =
            input.one_of(&["user.", "trusted.", "security.", "system.posix_acl_access", "system.posix_acl_default"]);
        if prefix.starts_with("system") {
            list.push(Xattr { name: prefix.as_bytes().into(), value: acl(input).into() });
            continue;
        }
        let suffix = input.byte() % 32;
        let name = [prefix.as_bytes(), &vec![b'a' + suffix % 26; suffix.into()]].concat();
        let len = input.below(1200);
        list.push(Xattr { name: name.into(), value: vec![input.byte(); len].into() });
    }
    Xattrs::new(list)
}

/// An access control list as Linux has it, with some named users in it, perhaps too many or twice.
fn acl(input: &mut Input<'_>) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    let mut entry = |tag: u16, perm: u16, id: u32| {
        list.extend([&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat());
    };
    let anybody = u32::MAX;
    entry(1, 6, anybody);
    let users = input.byte() % 4;
    (0..users).for_each(|_| entry(2, u16::from(input.byte() % 9), input.number(1) as u32));
    entry(4, 4, anybody);
    if users > 0 {
        entry(0x10, 7, anybody);
    }
    entry(0x20, 4, anybody);
    list
}
