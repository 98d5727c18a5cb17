//! A layer that is a directory on this machine, read in place.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Dir;

use super::LayerError;
use super::content::{ContentSource, FileRange};
use super::extra_layer::below;
use super::files::{FileVersion, Files};
use super::layer::IndexedLayer;
use super::listed_names::NameId;
use super::member_index::{IndexedMember, MemberIndex};
use super::overlay::{self, Overlay};
use super::warnings::Warnings;
use super::xattr_visibility::XattrVisibility;
use crate::meta::{Device, Entry, Metadata, Named, NodeKind, SharedXattrs, Shown, Timestamp, Xattr, Xattrs};
use crate::sys::{PinnedInode, data_segments, device_numbers, open_beneath, open_directory, standard_output};
use crate::tar::Segment;
use crate::tree::{ExistingDirectories, WhiteoutFormat, Whiteouts, file_name, is_whiteout_name, push_component};

/// How to interpret the names, devices and attributes in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectoryMeaning<'a> {
    /// As overlay2 does (F15), as far as they are visible.
    Overlay(XattrVisibility),
    /// As in a tar of the directory.
    Tar(StackedDirectory<'a>),
}

/// A directory that a user stacks on top (F16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StackedDirectory<'a> {
    /// It is the lowest layer, so it is an entry itself. On top of others it only provides entries; otherwise a directory
    /// made by mktemp, with mode 0700, would close the whole image to its users.
    pub(super) at_bottom: bool,
    /// The owner of everything; `None` keeps the owners on disk.
    pub(super) owner: Option<(u32, u32)>,
    /// The directory to put it below; empty for the root.
    pub(super) prefix: &'a [u8],
}

/// Why a layer is refused if it cannot be known what it hides, and whether its files have content of their own.
const BLIND: &str = "what overlayfs noted of it (trusted.overlay.*) is not shown without CAP_SYS_ADMIN: \
                     run as root, or in the user namespace that the layers were made in";

/// Lists a directory; its files are not read until they are written out.
pub(super) fn read(layer: u32, root: &Path, meaning: DirectoryMeaning<'_>) -> Result<IndexedLayer, LayerError> {
    let (format, with_root) = match meaning {
        DirectoryMeaning::Overlay(_) => (WhiteoutFormat::Other, true),
        DirectoryMeaning::Tar(stacked) => (WhiteoutFormat::Names, stacked.at_bottom),
    };
    let existing = if with_root { ExistingDirectories::TakeAttributes } else { ExistingDirectories::Stay };
    let fail = |source| LayerError::Io { path: root.into(), source };
    let opened = open_directory(root).map(File::from).map_err(|error| fail(error.into()))?;
    let mut reader = DirectoryReader {
        layer,
        root,
        meaning,
        index: MemberIndex::default(),
        whiteouts: Whiteouts::new(format),
        files: Files::new(opened.try_clone().map_err(fail)?),
        first_names: HashMap::new(),
        shared: SharedXattrs::default(),
        warnings: Warnings::default(),
        output: standard_output().map(|meta| (meta.dev(), meta.ino())),
    };
    if with_root {
        let node = PinnedInode::new(opened.as_fd(), OsStr::new("."), root.into()).map_err(fail)?;
        reader.entry(NameId::ROOT, b"", &node)?;
    }
    let version = FileVersion::of(&opened).map_err(fail)?;
    let mut directories = vec![DirectoryToList { name: NameId::ROOT, version }];
    while let Some(directory) = directories.pop() {
        reader.list(opened.as_fd(), directory, &mut directories)?;
    }
    let DirectoryReader { mut index, whiteouts, files, warnings, .. } = reader;
    index.end();
    Ok(IndexedLayer {
        members: index,
        whiteouts,
        content: ContentSource::Directory(files),
        existing,
        warnings,
        diff_id: None,
    })
}

/// The names in a directory, sorted so that the same directory always gives the same layer (S6).
fn names(directory: &File) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::io::retry_on_intr(|| Dir::read_from(directory))? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&*name, b"." | b"..") {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A directory whose own entry has been added, but not those in it.
#[derive(Debug)]
struct DirectoryToList {
    name: NameId,
    /// Its version when its entry was added.
    version: FileVersion,
}

struct DirectoryReader<'r> {
    layer: u32,
    root: &'r Path,
    meaning: DirectoryMeaning<'r>,
    index: MemberIndex,
    whiteouts: Whiteouts,
    files: Files,
    /// The first name of each inode that has several.
    first_names: HashMap<(u64, u64), NameId>,
    shared: SharedXattrs,
    warnings: Warnings,
    /// Standard output, as device and inode: written into the directory itself, it is no part of it.
    output: Option<(u64, u64)>,
}

impl<'r> DirectoryReader<'r> {
    /// Adds the entries of the directory `listed`, and pushes its subdirectories to `directories`. A directory
    /// replaced by a symbolic link meanwhile is not followed, and one that changes or is replaced is an error.
    fn list(
        &mut self,
        root: BorrowedFd<'_>,
        listed: DirectoryToList,
        directories: &mut Vec<DirectoryToList>,
    ) -> Result<(), LayerError> {
        let DirectoryToList { name: listed, version } = listed;
        let path = &*self.files.names.path(listed);
        let directory = open_beneath(root, path).map_err(|e| self.io(path, e))?;
        let before = FileVersion::of(&directory).map_err(|e| self.io(path, e))?;
        // Opening it may have mounted a file system on it (autofs), so on another device it may differ.
        if before != version && before.is_on_device_of(&version) {
            return Err(LayerError::Changed(path.to_vec()));
        }
        for name in names(&directory).map_err(|e| self.io(path, e))? {
            let mut below = path.to_vec();
            push_component(&mut below, name.as_bytes());
            let node = PinnedInode::new(directory.as_fd(), &name, self.path(&below)).map_err(|e| self.io(&below, e))?;
            if let Some(version) = self.entry(listed, &below, &node)? {
                directories.push(DirectoryToList { name: self.files.names.push(listed, name.as_bytes()), version });
            }
        }
        if FileVersion::of(&directory).map_err(|e| self.io(path, e))? != before {
            return Err(LayerError::Changed(path.to_vec()));
        }
        Ok(())
    }

    /// Adds the entry at `path` of the directory `parent`, or the whiteout that it stands for; returns its version
    /// if it is a directory.
    fn entry(&mut self, parent: NameId, path: &[u8], node: &PinnedInode) -> Result<Option<FileVersion>, LayerError> {
        let position = u32::try_from(self.index.len).unwrap_or(u32::MAX);
        let stat = &node.metadata().map_err(|e| self.io(path, e))?;
        let xattr = |(name, value): (Vec<u8>, Vec<u8>)| Xattr { name: name.into(), value: value.into() };
        let xattrs = node.xattrs().map_err(|e| self.io(path, e))?;
        let mut xattrs: Vec<Xattr> = xattrs.into_iter().map(xattr).collect();
        if let DirectoryMeaning::Overlay(visibility) = self.meaning {
            if !self.overlay(position, path, stat, &mut xattrs, visibility)? {
                return Ok(None);
            }
        } else if !path.is_empty() {
            let collected = self.whiteouts.collect(position, &self.name(path));
            if collected.map_err(|source| LayerError::Member { offset: 0, source })? {
                return Ok(None);
            }
        }
        if stat.file_type().is_socket() {
            log::warn!("{}: socket skipped", Shown(path));
            return Ok(None);
        }
        let key = (stat.dev(), stat.ino());
        if stat.is_file() && self.output == Some(key) {
            log::warn!("{}: is the output itself, left out", Shown(path));
            return Ok(None);
        }
        let entry = match self.first_names.get(&key) {
            Some(first) => Entry::HardLink(self.name(&self.files.names.path(*first)).into()),
            None => {
                if stat.nlink() > 1 && !stat.is_dir() {
                    self.first_names.insert(key, self.files.names.push(parent, file_name(path)));
                }
                Entry::Node(self.kind(parent, path, node, stat)?)
            }
        };
        let nanos = u32::try_from(stat.mtime_nsec()).unwrap_or_default();
        let mode = u16::try_from(stat.mode() & 0o7777).unwrap_or_default();
        let mtime = Timestamp { secs: stat.mtime(), nanos };
        let (uid, gid) = self.stacked().and_then(|stacked| stacked.owner).unwrap_or((stat.uid(), stat.gid()));
        let meta = Metadata { mode, uid, gid, mtime };
        let xattrs = self.shared.share(Xattrs::new(xattrs));
        let name = self.name(path);
        let member = Named { path: &name, entry, meta, xattrs };
        self.index.push(IndexedMember { offset: 0, member });
        Ok(stat.is_dir().then(|| stat.into()))
    }

    fn stacked(&self) -> Option<StackedDirectory<'r>> {
        match self.meaning {
            DirectoryMeaning::Tar(stacked) => Some(stacked),
            DirectoryMeaning::Overlay(_) => None,
        }
    }

    /// The name of the entry at `path` in the layer.
    fn name(&self, path: &[u8]) -> Vec<u8> {
        let path = if path.is_empty() { b"./" } else { path };
        below(self.stacked().map_or(b"", |stacked| stacked.prefix), path.to_vec())
    }

    /// Interprets an entry as overlayfs would; returns whether it is a real entry.
    fn overlay(
        &mut self,
        position: u32,
        path: &[u8],
        stat: &fs::Metadata,
        xattrs: &mut Vec<Xattr>,
        visibility: XattrVisibility,
    ) -> Result<bool, LayerError> {
        let strange = |what: String| LayerError::Overlay { name: path.to_vec(), what };
        let Overlay { whiteout, opaque, userxattr } = overlay::interpret(stat, xattrs).map_err(strange)?;
        self.warnings.userxattr |= userxattr;
        self.warnings.lookalikes |= is_whiteout_name(file_name(path));
        // The roots of layers always merge, whatever their attributes; below the lowest layer there is nothing to hide.
        if !path.is_empty() && self.layer > 0 {
            match visibility {
                XattrVisibility::Full => {}
                XattrVisibility::Namespace => self.warnings.unseen = true,
                XattrVisibility::Blind => return Err(strange(BLIND.into())),
            }
            if opaque {
                self.whiteouts.opaque(position, path);
            }
        }
        // A socket, which no tar can hold, hides the lower entry like any other file.
        if whiteout || stat.file_type().is_socket() {
            self.whiteouts.hide(position, path);
        }
        Ok(!whiteout)
    }

    fn kind(
        &mut self,
        parent: NameId,
        path: &[u8],
        node: &PinnedInode,
        stat: &fs::Metadata,
    ) -> Result<NodeKind<FileRange>, LayerError> {
        let of = stat.file_type();
        let device = || {
            let (major, minor) = device_numbers(stat.rdev());
            Device { major, minor }
        };
        Ok(if of.is_dir() {
            NodeKind::Directory
        } else if of.is_symlink() {
            let target = node.read_link().map_err(|e| self.io(path, e))?;
            NodeKind::Symlink(target.into_vec().into())
        } else if of.is_char_device() {
            NodeKind::CharDevice(device())
        } else if of.is_block_device() {
            NodeKind::BlockDevice(device())
        } else if of.is_fifo() {
            NodeKind::Fifo
        } else {
            let name = self.files.names.push(parent, file_name(path));
            let at = self.files.push(name, stat);
            let sparse = self.holes(path, at, stat)?;
            NodeKind::File(FileRange { layer: self.layer, at, size: stat.size(), sparse: sparse.map(Box::new) })
        })
    }

    /// The data segments of a file that takes less space on disk than its size: its holes are kept, so that a sparse log
    /// of 300 GB stays small (T3).
    fn holes(&self, path: &[u8], number: u64, stat: &fs::Metadata) -> Result<Option<Vec<Segment>>, LayerError> {
        if stat.blocks().saturating_mul(512) >= stat.size() {
            return Ok(None);
        }
        let opened = self.files.open(number).map_err(|e| self.io(path, e))?;
        let file = opened.ok_or_else(|| LayerError::Changed(path.to_vec()))?;
        let found = data_segments(&file, stat.size()).map_err(|e| self.io(path, e))?;
        let segment = |range: Range<u64>| Segment { offset: range.start, len: range.end - range.start };
        Ok(found.map(|ranges| ranges.into_iter().map(segment).collect()))
    }

    fn path(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.root.into() } else { self.root.join(OsStr::from_bytes(path)) }
    }

    fn io(&self, path: &[u8], source: io::Error) -> LayerError {
        LayerError::Io { path: self.path(path), source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    /// Reads a directory with a subdirectory `d`, after whose entry was added `meanwhile` is called.
    fn read_while(meanwhile: impl Fn(&Path)) -> Result<u64, LayerError> {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/old"), "").unwrap();
        let opened = File::open(root).unwrap();
        let mut reader = DirectoryReader {
            layer: 0,
            root,
            meaning: DirectoryMeaning::Tar(StackedDirectory { at_bottom: true, owner: None, prefix: b"" }),
            index: MemberIndex::default(),
            whiteouts: Whiteouts::new(WhiteoutFormat::Names),
            files: Files::new(opened.try_clone().unwrap()),
            first_names: HashMap::new(),
            shared: SharedXattrs::default(),
            warnings: Warnings::default(),
            output: None,
        };
        let mut directories = Vec::new();
        let version = FileVersion::of(&opened).unwrap();
        reader.list(opened.as_fd(), DirectoryToList { name: NameId::ROOT, version }, &mut directories)?;
        meanwhile(root);
        while let Some(directory) = directories.pop() {
            reader.list(opened.as_fd(), directory, &mut directories)?;
        }
        Ok(reader.index.len)
    }

    #[test]
    fn a_directory_that_is_replaced_before_it_is_listed_is_an_error() {
        assert_eq!(read_while(|_| ()).unwrap(), 2);
        let replaced = read_while(|root| {
            fs::rename(root.join("d"), root.join("gone")).unwrap();
            fs::create_dir(root.join("d")).unwrap();
            fs::write(root.join("d/new"), "").unwrap();
        });
        assert!(matches!(&replaced, Err(LayerError::Changed(name)) if name == b"d"), "{replaced:?}");
    }
}
