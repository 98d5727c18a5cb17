//! The canonical form of a member (T3): ustar, with PAX records for what ustar cannot hold.
//!
//! The records, in this order and only if needed: `hdrcharset=BINARY` before names that are not UTF-8, `path`,
//! `linkpath`, `size`, `uid`, `gid`, `mtime`, `SCHILY.devmajor`, `SCHILY.devminor`, `GNU.sparse.*` (1.0), `SCHILY.acl.*`,
//! `SCHILY.xattr.*`, `LIBARCHIVE.xattr.*`. Values in PAX records are in the header block too, as far as they fit.
//!
//! An ACL is written twice: raw as `SCHILY.xattr.system.posix_acl_*`, which container runtimes restore, and as text in
//! `SCHILY.acl.*`, which GNU tar and bsdtar restore.

use tar::{EntryType, Header, UstarHeader};

use super::limits::MAX_PAX;
use super::reader::padding;
use super::{BLOCK, FileLayout, MemberBody, Segment, WriteError, acl, sparse, xattr, xattr_name};
use crate::meta::{Acl, Device, Entry, Metadata, Named, NodeKind, Timestamp, Xattrs};

/// Appends to `out` all blocks that precede the member's data: its PAX header if it needs one, its header, and the map of
/// its holes. The name is written as it is; that of a directory ends with a slash (T1). The same member always gives the
/// same bytes.
///
/// ```
/// use oci2ext4::meta::{Entry, Metadata, Named, NodeKind, Timestamp, Xattrs};
/// use oci2ext4::tar::{END_MARKER, FileLayout, encode};
///
/// let mut archive = Vec::new();
/// let meta = Metadata { mode: 0o644, uid: 0, gid: 0, mtime: Timestamp::EPOCH };
/// let entry = Entry::Node(NodeKind::File(FileLayout { size: 5, sparse: None }));
/// let body = encode(&Named { path: b"etc/motd", entry, meta, xattrs: Xattrs::NONE }, &mut archive)?;
/// archive.extend_from_slice(b"hello"); // all that `body.segments` asks for
/// archive.resize(archive.len() + body.padding, 0);
/// archive.extend_from_slice(&END_MARKER);
/// assert_eq!(archive.len(), 4 * 512);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When no header can hold a name, or there are too many attributes.
pub fn encode(member: &Named<'_, FileLayout<'_>, &[u8]>, out: &mut Vec<u8>) -> Result<MemberBody, WriteError> {
    let mut file = FileParts::default();
    let mut link = None;
    let mut device = Device { major: 0, minor: 0 };
    let flag = match member.entry {
        Entry::Node(NodeKind::File(layout)) => {
            file = FileParts::of(&layout);
            EntryType::Regular
        }
        Entry::HardLink(target) => {
            link = Some(target);
            EntryType::Link
        }
        Entry::Node(NodeKind::Symlink(target)) => {
            link = Some(target);
            EntryType::Symlink
        }
        Entry::Node(NodeKind::Directory) => EntryType::Directory,
        Entry::Node(NodeKind::CharDevice(d)) => {
            device = d;
            EntryType::Char
        }
        Entry::Node(NodeKind::BlockDevice(d)) => {
            device = d;
            EntryType::Block
        }
        Entry::Node(NodeKind::Fifo) => EntryType::Fifo,
    };
    let is_no_name = |name: &[u8]| name.is_empty() || name.contains(&0);
    if is_no_name(member.path) || link.is_some_and(is_no_name) {
        return Err(WriteError::Name);
    }

    let mut pax = Vec::new();
    let stand_in = file.real_size.map(|_| sparse_name(member.path));
    let path = stand_in.as_deref().unwrap_or(member.path);
    let split = split(path);
    let path_record = (split.is_none() && stand_in.is_none()).then_some(path);
    let link_record = link.filter(|link| link.len() > 100);
    let sparse_record = stand_in.as_ref().map(|_| member.path);
    if [path_record, link_record, sparse_record].into_iter().flatten().any(|n| std::str::from_utf8(n).is_err()) {
        record(&mut pax, b"hdrcharset", b"BINARY");
    }
    path_record.inspect(|name| record(&mut pax, b"path", name));
    link_record.inspect(|name| record(&mut pax, b"linkpath", name));

    let mut header = Header::new_ustar();
    let (prefix, name) = split.unwrap_or((b"", path));
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.prefix, prefix);
        put(&mut ustar.name, name);
        put(&mut ustar.linkname, link.unwrap_or_default());
        ustar.typeflag = [flag.as_byte()];
        put_numbers(ustar, &member.meta, file.stored, device, &mut pax);
    }
    if let (Some(real_size), Some(name)) = (file.real_size, sparse_record) {
        record(&mut pax, b"GNU.sparse.major", b"1");
        record(&mut pax, b"GNU.sparse.minor", b"0");
        record(&mut pax, b"GNU.sparse.name", name);
        record(&mut pax, b"GNU.sparse.realsize", real_size.to_string().as_bytes());
    }
    xattr_records(&mut pax, &member.xattrs);

    if pax.len() as u64 > MAX_PAX {
        return Err(WriteError::TooLong(pax.len()));
    }
    if !pax.is_empty() {
        pax_member(out, member.path, &pax);
    }
    seal(&mut header);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&file.map);
    Ok(file.body)
}

/// What follows a header; nothing, unless it is that of a file.
#[derive(Default)]
struct FileParts {
    /// The map of the holes.
    map: Vec<u8>,
    body: MemberBody,
    /// The size of map and body.
    stored: u64,
    /// The size with the holes, if there are any.
    real_size: Option<u64>,
}

impl FileParts {
    fn of(&FileLayout { size, sparse }: &FileLayout<'_>) -> Self {
        let mut segments =
            sparse.map_or_else(|| vec![Segment { offset: 0, len: size }], |segments| sparse::widen(segments, size));
        segments.retain(|segment| segment.len > 0);
        let mut body = MemberBody { segments, padding: 0 };
        let real_size = (body.len() != size).then_some(size);
        let map = real_size.map_or_else(Vec::new, |size| text_map(&body.segments, size));
        let stored = map.len() as u64 + body.len();
        body.padding = usize::try_from(padding(stored)).unwrap_or_default();
        Self { map, body, stored, real_size }
    }
}

/// Fills the fields that hold numbers; a number that does not fit becomes a record.
fn put_numbers(ustar: &mut UstarHeader, meta: &Metadata, size: u64, device: Device, pax: &mut Vec<u8>) {
    octal(&mut ustar.mode, u64::from(meta.mode & 0o7777));
    octal_or_record(&mut ustar.size, b"size", size, pax);
    octal_or_record(&mut ustar.uid, b"uid", meta.uid.into(), pax);
    octal_or_record(&mut ustar.gid, b"gid", meta.gid.into(), pax);
    let fits = octal(&mut ustar.mtime, u64::try_from(meta.mtime.secs).unwrap_or(0));
    if meta.mtime.secs < 0 || meta.mtime.nanos != 0 || !fits {
        record(pax, b"mtime", decimal(meta.mtime).as_bytes());
    }
    octal_or_record(&mut ustar.dev_major, b"SCHILY.devmajor", device.major.into(), pax);
    octal_or_record(&mut ustar.dev_minor, b"SCHILY.devminor", device.minor.into(), pax);
}

fn octal_or_record(field: &mut [u8], keyword: &[u8], value: u64, pax: &mut Vec<u8>) {
    if !octal(field, value) {
        record(pax, keyword, value.to_string().as_bytes());
    }
}

/// The `x` member: its own name and attributes are irrelevant, and depend only on the member's name.
fn pax_member(out: &mut Vec<u8>, path: &[u8], pax: &[u8]) {
    let mut header = Header::new_ustar();
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let base = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.name, &[b"PaxHeaders/", base].concat());
        ustar.typeflag = [EntryType::XHeader.as_byte()];
        octal(&mut ustar.mode, 0o644);
        octal(&mut ustar.size, pax.len() as u64);
        for field in [&mut ustar.uid[..], &mut ustar.gid, &mut ustar.mtime, &mut ustar.dev_major, &mut ustar.dev_minor]
        {
            octal(field, 0);
        }
    }
    seal(&mut header);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(pax);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

fn xattr_records(pax: &mut Vec<u8>, xattrs: &Xattrs) {
    for (name, keyword) in [(xattr::ACL_ACCESS, &b"SCHILY.acl.access"[..]), (xattr::ACL_DEFAULT, b"SCHILY.acl.default")]
    {
        // A value that is not a valid ACL has no text form; readers see it raw.
        if let Some(acl) = xattrs.get(name).and_then(|value| Acl::parse(value).ok()?) {
            record(pax, keyword, acl::to_text(&acl).as_bytes());
        }
    }
    let (plain, encoded): (Vec<_>, Vec<_>) = xattrs.iter().partition(|x| xattr_name::is_plain_name(x.name));
    for x in plain {
        record(pax, &[b"SCHILY.xattr.", x.name].concat(), x.value);
    }
    for x in encoded {
        let keyword = [b"LIBARCHIVE.xattr.", &*xattr_name::url_encode(x.name)].concat();
        record(pax, &keyword, &xattr::base64_encode(x.value));
    }
}

/// Appends `length keyword=value\n`; the length includes its own digits.
fn record(pax: &mut Vec<u8>, keyword: &[u8], value: &[u8]) {
    let rest = keyword.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    pax.extend_from_slice(len.to_string().as_bytes());
    for part in [&b" "[..], keyword, b"=", value, b"\n"] {
        pax.extend_from_slice(part);
    }
}

/// Seconds with as many decimals as needed.
fn decimal(time: Timestamp) -> String {
    if time.nanos == 0 {
        return time.secs.to_string();
    }
    let (sign, secs, nanos) = if time.secs < 0 {
        ("-", (time.secs + 1).unsigned_abs(), 1_000_000_000 - time.nanos)
    } else {
        ("", time.secs.unsigned_abs(), time.nanos)
    };
    format!("{sign}{secs}.{nanos:09}").trim_end_matches('0').to_owned()
}

/// Prefix and name of a path that ustar can hold. The prefix is as long as possible, as in GNU tar.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let slash = path[..path.len() - 1].iter().take(156).rposition(|&b| b == b'/').filter(|&at| at > 0)?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (name.len() <= 100).then_some((prefix, name))
}

/// The name of a sparse file for tools that would unpack map and data as its content, as in GNU tar.
fn sparse_name(path: &[u8]) -> Vec<u8> {
    let slash = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let (directory, base) = path.split_at(slash);
    [directory, b"GNUSparseFile.0/", base].concat()
}

/// The map of PAX 1.0: the number of segments, then the offset and length of each; an empty one at the end stands for a
/// trailing hole.
fn text_map(segments: &[Segment], size: u64) -> Vec<u8> {
    let end = segments.last().map_or(0, |s| s.offset + s.len);
    let last = (end < size).then_some(Segment { offset: size, len: 0 });
    let mut map = format!("{}\n", segments.len() + usize::from(last.is_some())).into_bytes();
    for segment in segments.iter().chain(&last) {
        map.extend_from_slice(format!("{}\n{}\n", segment.offset, segment.len).as_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// Fills a field with `value` in octal and a NUL, or with zeros if it does not fit; returns whether it fits.
fn octal(field: &mut [u8], value: u64) -> bool {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    let fits = text.len() == digits;
    field[..digits].fill(b'0');
    field[digits] = 0;
    if fits {
        field[..digits].copy_from_slice(text.as_bytes());
    }
    fits
}

/// Fills a field with as much of `bytes` as fits.
fn put(field: &mut [u8], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}

/// Sets the checksum in the form of POSIX: six digits, NUL, blank.
fn seal(header: &mut Header) {
    header.as_old_mut().cksum = *b"        ";
    let sum: u64 = header.as_bytes().iter().map(|&b| u64::from(b)).sum();
    let cksum = &mut header.as_old_mut().cksum;
    octal(&mut cksum[..7], sum);
    cksum[7] = b' ';
}
