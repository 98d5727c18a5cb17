//! Building an image by calls instead of from a tar stream.

use std::convert::Infallible;
use std::io::BufRead;

use super::image_tree::ImageTree;
use super::{EntryError, Error};
use crate::ext4::{self, FileData, Identity, ImageWriter, Options, Report, Target};
use crate::meta::{Entry, Metadata, Named, NodeKind, Xattrs};
use crate::tree::{MergeTree, WhiteoutFormat, Whiteouts};

/// Builds an image entry by entry, by the same rules as for the members of a tar stream (I5): missing parents are made,
/// the last entry of a name wins, a directory given twice keeps its children. Times outside 1901 to 2310 are cut to that
/// range.
///
/// ```
/// use oci2ext4::ext4::{FreshFile, Identity, Options};
/// use oci2ext4::meta::{Metadata, NodeKind, Timestamp, Xattr, Xattrs};
/// use oci2ext4::pack::ImageBuilder;
///
/// let file = tempfile::tempfile()?;
/// let mut image = ImageBuilder::new(FreshFile(file), &Options::default())?;
/// let meta = |mode| Metadata { mode, uid: 0, gid: 0, mtime: Timestamp::from_secs(1_700_000_000) };
/// let note = Xattr { name: "user.note", value: "hello" };
///
/// image.node(b"etc", NodeKind::Directory, meta(0o755), Xattrs::NONE)?;
/// image.file(b"etc/motd", &mut &b"Welcome\n"[..], 8, meta(0o644), Xattrs::new(vec![note]))?;
/// image.link(b"etc/issue", b"etc/motd")?;
/// image.node(b"bin", NodeKind::Symlink((*b"usr/bin").into()), meta(0o777), Xattrs::NONE)?;
///
/// let report = image.finish(&Identity { uuid: [7; 16], ..Identity::default() })?;
/// assert_eq!(report.bytes % 4096, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ImageBuilder<T> {
    writer: ImageWriter<T>,
    tree: MergeTree<FileData>,
}

impl<T: Target> ImageBuilder<T> {
    /// Begins an image on `target`.
    ///
    /// # Errors
    /// When an option is out of range or the target cannot be written.
    pub fn new(target: T, options: &Options) -> Result<Self, Error> {
        Ok(Self { writer: ImageWriter::new(target, options).map_err(Error::Image)?, tree: MergeTree::new() })
    }

    /// Adds a regular file with the next `size` bytes of `input` as its content, which go to their final place at once.
    ///
    /// # Errors
    /// When `input` ends early, ext4 cannot hold the file, or the target cannot be written.
    pub fn file(
        &mut self,
        path: &[u8],
        input: &mut impl BufRead,
        size: u64,
        meta: Metadata,
        xattrs: Xattrs,
    ) -> Result<(), Error> {
        self.writer.set_origin(path, 0);
        let data = self.writer.write_data(input, size).map_err(|error| match error {
            error @ ext4::Error::Write { .. } => Error::of_built_image(error),
            error => Error::entry(path, EntryError::Image(error)),
        })?;
        self.enter(path, NodeKind::File(data), meta, xattrs)
    }

    /// Adds anything but a regular file: a directory, a symbolic link, a device, a FIFO. The path `.` sets the
    /// attributes of the root. Only [`ImageBuilder::file`] can make a [`NodeKind::File`], since its content must be in
    /// this image.
    ///
    /// # Errors
    /// When ext4 cannot hold it, or its path breaks a rule.
    pub fn node(
        &mut self,
        path: &[u8],
        kind: NodeKind<Infallible>,
        meta: Metadata,
        xattrs: Xattrs,
    ) -> Result<(), Error> {
        let kind = kind.map(|never| match never {});
        self.enter(path, kind, meta, xattrs)
    }

    /// Adds another name for what is called `target` now.
    ///
    /// # Errors
    /// When there is no such name, or it is that of a directory.
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        let meta = Metadata::IMPLIED_DIRECTORY; // ignored: a link has no attributes (F8)
        self.apply(Named { path, entry: Entry::HardLink(target.into()), meta, xattrs: Xattrs::NONE })
    }

    /// Writes the metadata and completes the image.
    ///
    /// # Errors
    /// When the image is too small for its content, or the target cannot be written.
    pub fn finish(self, identity: &Identity) -> Result<Report, Error> {
        self.writer.finish(&ImageTree(self.tree.seal()), identity).map_err(Error::of_built_image)
    }

    fn enter(&mut self, path: &[u8], kind: NodeKind<FileData>, meta: Metadata, xattrs: Xattrs) -> Result<(), Error> {
        let meta = Metadata { mtime: ext4::clamp_time(meta.mtime), ..meta };
        ext4::check(path, &kind, meta, &xattrs).map_err(|error| Error::entry(path, error.into()))?;
        self.apply(Named { path, entry: Entry::Node(kind), meta, xattrs })
    }

    /// Each call is a layer of its own: it can only refer to what exists already.
    fn apply(&mut self, member: Named<'_, FileData>) -> Result<(), Error> {
        let mut layer = self.tree.layer(Whiteouts::new(WhiteoutFormat::Other)).map_err(Error::Links)?;
        layer.apply(member).map_err(Error::Links)?;
        layer.finish().map_err(Error::Links)
    }
}
