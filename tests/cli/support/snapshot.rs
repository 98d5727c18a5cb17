//! A directory tree as sorted lines of text, so that two trees can be compared and read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oci2ext4::sys::device_numbers;
use rustix::fs::{FileType, RawMode, lgetxattr, llistxattr};
use sha2::{Digest, Sha256};

use super::names::names_below;

/// How many differing paths a failing comparison prints.
const SHOWN: usize = 60;

/// The fields of one inode by name, in the order they are printed.
type Fields = BTreeMap<String, String>;

/// Everything a file system says about the tree below a directory: type, mode, owner, mtime to the nanosecond,
/// content, symlink targets, device numbers, all xattrs, and which names share an inode.
///
/// Sizes of directories and the mode of symlinks are the file system's own business and left out.
#[derive(Clone)]
pub struct Snapshot {
    entries: BTreeMap<Vec<u8>, Fields>,
    masks: Vec<Mask>,
}

#[derive(Clone)]
struct Mask {
    pattern: String,
    field: Option<String>,
}

impl Snapshot {
    /// Reads the tree below `root`; the root itself is `.`, the others are named from there without a prefix.
    #[track_caller]
    pub fn of(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        let mut first_names: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for name in [b".".to_vec()].into_iter().chain(names_below(root)) {
            let fields = inode(root, &name, &mut first_names);
            entries.insert(name, fields);
        }
        Self { entries, masks: Vec::new() }
    }

    /// Leaves `path` (and what is below it) out of the comparison, for a reason that the caller states.
    #[must_use]
    pub fn mask_path(mut self, path: &str, _reason: &str) -> Self {
        self.masks.push(Mask { pattern: path.to_owned(), field: None });
        self
    }

    /// Leaves one field (as printed: `mtime`, `xattr:user.x`) of `path` out of the comparison. `*` is every path,
    /// and a pattern that ends with `/` means all below that directory.
    #[must_use]
    pub fn mask_field(mut self, path: &str, field: &str, _reason: &str) -> Self {
        self.masks.push(Mask { pattern: path.to_owned(), field: Some(field.to_owned()) });
        self
    }

    /// How many names there are, the root included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every name, escaped, in order.
    pub fn paths(&self) -> Vec<String> {
        self.entries.keys().map(|name| name.escape_ascii().to_string()).collect()
    }

    /// One line for each name.
    pub fn text(&self) -> String {
        self.entries.iter().fold(String::new(), |mut text, (name, fields)| {
            let _ = writeln!(text, "{} {}", name.escape_ascii(), line(fields));
            text
        })
    }

    /// One field of one path.
    pub fn field(&self, path: &str, field: &str) -> Option<&str> {
        self.entries.get(path.as_bytes())?.get(field).map(String::as_str)
    }

    /// The paths that differ, one readable paragraph each; `self` is what was expected. Masks of either side hold
    /// for both.
    pub fn differences(&self, got: &Self) -> Vec<String> {
        let masks: Vec<&Mask> = self.masks.iter().chain(&got.masks).collect();
        let mut names: Vec<&Vec<u8>> = self.entries.keys().chain(got.entries.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| {
                let left = self.entries.get(name).and_then(|fields| masked(name, fields, &masks));
                let right = got.entries.get(name).and_then(|fields| masked(name, fields, &masks));
                difference(name, left.as_ref(), right.as_ref())
            })
            .collect()
    }

    /// Fails with what differs, unless nothing does; `self` is what was expected.
    #[track_caller]
    pub fn assert_same(&self, got: &Self) {
        let found = self.differences(got);
        let more = found.len().saturating_sub(SHOWN);
        let shown: Vec<&str> = found.iter().take(SHOWN).map(String::as_str).collect();
        let rest = if more > 0 { format!("\n... and {more} more") } else { String::new() };
        assert!(
            found.is_empty(),
            "{} of {} paths differ (- expected, + got)\n{}{rest}",
            found.len(),
            self.len(),
            shown.join("\n")
        );
    }
}

fn line(fields: &Fields) -> String {
    fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn masked(name: &[u8], fields: &Fields, masks: &[&Mask]) -> Option<Fields> {
    let mut fields = fields.clone();
    for mask in masks.iter().filter(|mask| mask.covers(name)) {
        match &mask.field {
            None => return None,
            Some(field) => fields.remove(field),
        };
    }
    Some(fields)
}

impl Mask {
    fn covers(&self, name: &[u8]) -> bool {
        let pattern = self.pattern.as_bytes();
        match &self.field {
            _ if self.pattern == "*" => true,
            Some(_) if pattern.ends_with(b"/") => name.starts_with(pattern),
            Some(_) => name == pattern,
            None => name == pattern || name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with(b"/")),
        }
    }
}

fn difference(name: &[u8], left: Option<&Fields>, right: Option<&Fields>) -> Option<String> {
    let name = name.escape_ascii();
    match (left, right) {
        (None, None) => None,
        (Some(left), None) => Some(format!("{name}: missing\n  - {}", line(left))),
        (None, Some(right)) => Some(format!("{name}: should not be there\n  + {}", line(right))),
        (Some(left), Some(right)) if left == right => None,
        (Some(left), Some(right)) => {
            let only = |these: &Fields, those: &Fields| {
                let unlike = these.iter().filter(|(field, value)| those.get(*field) != Some(*value));
                unlike.map(|(field, value)| format!("{field}={value}")).collect::<Vec<_>>().join(" ")
            };
            Some(format!("{name}:\n  - {}\n  + {}", only(left, right), only(right, left)))
        }
    }
}

fn inode(root: &Path, name: &[u8], first_names: &mut BTreeMap<u64, Vec<u8>>) -> Fields {
    let path = root.join(OsStr::from_bytes(name));
    let stat = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut fields = Fields::new();
    let mut put = |field: &str, value: String| fields.insert(field.to_owned(), value);
    let kind = file_type(&stat);
    put("type", format!("{kind:?}"));
    if kind != FileType::Symlink {
        put("mode", format!("{:04o}", stat.mode() & 0o7777));
    }
    put("owner", format!("{}:{}", stat.uid(), stat.gid()));
    put("mtime", format!("{}.{:09}", stat.mtime(), stat.mtime_nsec()));
    match kind {
        FileType::RegularFile => {
            put("size", stat.size().to_string());
            put("sha256", content(&path));
        }
        FileType::Symlink => {
            let target = fs::read_link(&path).expect("symlink target");
            put("target", target.as_os_str().as_bytes().escape_ascii().to_string());
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            let (major, minor) = device_numbers(stat.rdev());
            put("device", format!("{major}:{minor}"));
        }
        _ => {}
    }
    if kind != FileType::Directory {
        put("links", stat.nlink().to_string());
        let first = first_names.entry(stat.ino()).or_insert_with(|| name.to_vec());
        if first != name {
            put("same-inode-as", first.escape_ascii().to_string());
        }
    }
    for (key, value) in xattrs(&path) {
        put(&format!("xattr:{key}"), value);
    }
    fields
}

/// What it is, by a mode that is as wide as the system has it.
#[allow(clippy::unnecessary_cast, reason = "modes have 32 bits on some systems, and 16 on others")]
pub(super) fn file_type(stat: &fs::Metadata) -> FileType {
    FileType::from_raw_mode(stat.mode() as RawMode)
}

fn content(path: &Path) -> String {
    let mut file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
            0 => return hex(&hash.finalize()),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// All xattrs, value in hexadecimal (empty for an empty value).
fn xattrs(path: &Path) -> Vec<(String, String)> {
    let mut list = vec![0u8; 1 << 16];
    let length = llistxattr(path, &mut list[..]).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0u8; 1 << 16];
            let length =
                lgetxattr(path, name, &mut value[..]).unwrap_or_else(|error| panic!("xattr {name:?}: {error}"));
            (name.escape_ascii().to_string(), hex(&value[..length]))
        })
        .collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
