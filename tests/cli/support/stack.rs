//! Layers of [`Item`]s as tars and directories on disk, and the layer manifest over them.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Timespec, Timestamps, Uid, XattrFlags};
use serde_json::json;

use super::image::{Compression, sha256};
use super::script::{Item, What};

/// A tar of these items, in PAX where ustar does not do. Written by hand: what is tested does not test itself.
pub fn tar(items: &[Item]) -> Vec<u8> {
    let mut out = tar_without_end(items);
    out.extend([0; 1024]);
    out
}

/// The same without an end marker.
pub fn tar_without_end(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        member(item, &mut out);
    }
    out
}

fn member(item: &Item, out: &mut Vec<u8>) {
    let mut pax = Vec::new();
    let mut name = item.name.clone();
    if item.what == What::Dir && !name.ends_with(b"/") {
        name.push(b'/');
    }
    if name.len() > 100 {
        record(&mut pax, b"path", &name);
    }
    let (mut size, mut body, mut device, mut target) = (0, Vec::new(), (0, 0), &[][..]);
    let flag = match &item.what {
        What::Dir => b'5',
        What::File(content) => {
            body.clone_from(content);
            b'0'
        }
        What::Sparse(real, data) => {
            record(&mut pax, b"GNU.sparse.major", b"1");
            record(&mut pax, b"GNU.sparse.minor", b"0");
            record(&mut pax, b"GNU.sparse.name", &name);
            record(&mut pax, b"GNU.sparse.realsize", real.to_string().as_bytes());
            body = format!("{}\n", data.len()).into_bytes();
            for (at, bytes) in data {
                body.extend(format!("{at}\n{}\n", bytes.len()).bytes());
            }
            body.resize(body.len().next_multiple_of(512), 0);
            body.extend(data.iter().flat_map(|(_, bytes)| bytes));
            b'0'
        }
        What::Link(to) => {
            target = to;
            b'1'
        }
        What::Symlink(to) => {
            target = to;
            b'2'
        }
        What::Char(major, minor) => {
            device = (*major, *minor);
            b'3'
        }
        What::Block(major, minor) => {
            device = (*major, *minor);
            b'4'
        }
        What::Fifo => b'6',
    };
    if target.len() > 100 {
        record(&mut pax, b"linkpath", target);
    }
    for (id, key) in [(item.owner.0, &b"uid"[..]), (item.owner.1, b"gid")] {
        if id > 0o7_777_777 {
            record(&mut pax, key, id.to_string().as_bytes());
        }
    }
    if item.mtime.0 < 0 || item.mtime.0 > 0o77_777_777_777 || item.mtime.1 != 0 {
        record(&mut pax, b"mtime", decimal(item.mtime).as_bytes());
    }
    for (key, value) in &item.xattrs {
        record(&mut pax, &[b"SCHILY.xattr.", &key[..]].concat(), value);
    }
    if !pax.is_empty() {
        header(b"pax", b'x', pax.len(), (0o644, (0, 0), 0), (0, 0), b"", out);
        padded(&pax, out);
    }
    size += body.len();
    header(&name, flag, size, (item.mode, item.owner, item.mtime.0), device, target, out);
    padded(&body, out);
}

fn header(
    name: &[u8],
    flag: u8,
    size: usize,
    (mode, owner, mtime): (u32, (u32, u32), i64),
    device: (u32, u32),
    target: &[u8],
    out: &mut Vec<u8>,
) {
    let mut block = [0; 512];
    let mut put = |at: usize, len: usize, bytes: &[u8]| {
        let len = len.min(bytes.len());
        block[at..at + len].copy_from_slice(&bytes[..len]);
    };
    let octal = |value: u64, digits: usize| format!("{:0digits$o}", if value >> (3 * digits) == 0 { value } else { 0 });
    put(0, 100, name);
    put(100, 8, octal(mode.into(), 7).as_bytes());
    put(108, 8, octal(owner.0.into(), 7).as_bytes());
    put(116, 8, octal(owner.1.into(), 7).as_bytes());
    put(124, 12, octal(size as u64, 11).as_bytes());
    put(136, 12, octal(u64::try_from(mtime).unwrap_or(0), 11).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[flag]);
    put(157, 100, target);
    put(257, 8, b"ustar\x0000");
    put(329, 8, octal(device.0.into(), 7).as_bytes());
    put(337, 8, octal(device.1.into(), 7).as_bytes());
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    out.extend(block);
}

fn record(pax: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let len = (rest..).find(|len| rest + len.to_string().len() == *len).expect("a length");
    pax.extend([len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat());
}

fn decimal((secs, nanos): (i64, u32)) -> String {
    match (secs, nanos) {
        (_, 0) => secs.to_string(),
        (..0, _) => format!("-{}.{:09}", -(secs + 1), 1_000_000_000 - nanos),
        _ => format!("{secs}.{nanos:09}"),
    }
}

fn padded(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// `bytes` as a blob.
pub fn compress(bytes: &[u8], how: Compression) -> Vec<u8> {
    match how {
        Compression::Plain => bytes.to_vec(),
        Compression::Zstd => zstd::encode_all(bytes, 1).expect("zstd"),
        Compression::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("xz");
            encoder.write_all(bytes).expect("xz");
            encoder.finish().expect("xz")
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).expect("bzip2");
            encoder.finish().expect("bzip2")
        }
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("gzip");
            encoder.finish().expect("gzip")
        }
    }
}

/// Makes a directory of these items, as an overlay mount would have left it. Needs root.
///
/// Directories that no item describes, `root` among them, are 0755 at time 0.
pub fn directory(items: &[Item], root: &Path) {
    let at = |name: &[u8]| root.join(std::ffi::OsStr::from_bytes(name));
    fs::create_dir_all(root).expect("layer directory");
    for item in items {
        let path = at(&item.name);
        let parent = path.parent().expect("a parent");
        fs::create_dir_all(parent).expect("parents");
        make(item, &path, root);
        if !matches!(item.what, What::Link(_)) {
            attributes(item, &path);
        }
    }
    // Making a name changes the time of its directory, so times come last.
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory).expect("read_dir").map(|entry| entry.expect("entry"));
        let below = entries.filter(|entry| entry.file_type().expect("type").is_dir());
        directories.extend(below.map(|entry| entry.path()));
        set_time((0, 0), &directory);
    }
    for item in items.iter().filter(|item| item.what == What::Dir) {
        set_time(item.mtime, &at(&item.name));
    }
}

fn make(item: &Item, path: &Path, root: &Path) {
    #[cfg(target_os = "linux")]
    let node = |kind, (major, minor)| {
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(CWD, path, kind, rustix::fs::Mode::RUSR, device).expect("mknod");
    };
    #[cfg(not(target_os = "linux"))]
    let node = |kind: FileType, _| panic!("{}: {kind:?} are made on Linux only", path.display());
    match &item.what {
        What::Dir => fs::create_dir_all(path).expect("mkdir"),
        What::File(content) => fs::write(path, content).expect("write"),
        What::Sparse(size, data) => {
            use std::os::unix::fs::FileExt;
            let file = fs::File::create(path).expect("create");
            file.set_len(*size).expect("truncate");
            for (at, bytes) in data {
                file.write_all_at(bytes, *at).expect("write");
            }
        }
        What::Link(target) => fs::hard_link(root.join(std::ffi::OsStr::from_bytes(target)), path).expect("link"),
        What::Symlink(target) => {
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path).expect("symlink");
        }
        What::Char(major, minor) => node(FileType::CharacterDevice, (*major, *minor)),
        What::Block(major, minor) => node(FileType::BlockDevice, (*major, *minor)),
        What::Fifo => node(FileType::Fifo, (0, 0)),
    }
}

fn attributes(item: &Item, path: &Path) {
    let (user, group) = (Uid::from_raw(item.owner.0), Gid::from_raw(item.owner.1));
    rustix::fs::chownat(CWD, path, Some(user), Some(group), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("chown");
    if !matches!(item.what, What::Symlink(_)) {
        fs::set_permissions(path, fs::Permissions::from_mode(item.mode)).expect("chmod");
    }
    for (key, value) in &item.xattrs {
        rustix::fs::lsetxattr(path, &key[..], value, XattrFlags::empty())
            .unwrap_or_else(|error| panic!("{}: xattr {}: {error}", path.display(), key.escape_ascii()));
    }
    set_time(item.mtime, path);
}

fn set_time((secs, nanos): (i64, u32), path: &Path) {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
}

/// A layer manifest over blobs and directories.
#[derive(Default)]
pub struct Manifest {
    layers: Vec<serde_json::Value>,
}

impl Manifest {
    /// Adds a blob that decodes to `tar`. Its diffId is right.
    pub fn blob(&mut self, path: PathBuf, blob: &[u8], tar: &[u8], annotations: serde_json::Value) {
        fs::write(&path, blob).expect("blob");
        self.layers.push(json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{}", sha256(blob)),
            "size": blob.len(),
            "diffId": format!("sha256:{}", sha256(tar)),
            "path": path,
            "annotations": annotations,
        }));
    }

    /// Adds a directory as overlay2 has it.
    pub fn directory(&mut self, path: PathBuf) {
        self.layers.push(json!({ "mediaType": "inode/directory", "path": path }));
    }

    /// The last layer's record, to spoil it.
    pub fn last(&mut self) -> &mut serde_json::Value {
        self.layers.last_mut().expect("a layer")
    }

    /// The manifest as `oci-fetch` would write it.
    pub fn text(&self) -> String {
        let count = self.layers.len();
        let image = json!({ "type": "image", "version": 1, "reference": "test", "platform": null, "manifest": null,
                            "config": null, "layers": count });
        let layers = self.layers.iter().enumerate().map(|(index, layer)| {
            let mut layer = layer.clone();
            layer["type"] = "layer".into();
            layer["index"] = index.into();
            layer
        });
        let records = [image].into_iter().chain(layers).chain([json!({ "type": "end" })]);
        records.map(|record| format!("{record}\n")).collect()
    }
}
