//! From a tar stream to an ext4 image: the adapter between tar, tree and ext4 (I5, E11).
//!
//! File content goes to its final blocks as it arrives. Names and attributes are collected in a tree of one layer, by the
//! same rules as in flattening (F5 to F11; `.wh.` names are ordinary here), and written when the stream has ended.
//!
//! Extended attributes that Linux could not set on ext4 (a namespace like `com.apple.`, `user.` on a symbolic link)
//! are left out with a warning, as by GNU tar and bsdtar when they extract; those that ext4 has no room for are an error.

mod builder;
mod content_hash;
mod error;
mod identity;
mod image_archive;
mod image_tree;
mod limits;
mod read_ahead;

use std::io::{self, BufRead, Read};

pub use builder::ImageBuilder;
pub use error::{EntryError, Error};

use crate::codec::Decoder;
use crate::ext4::{FileData, Identity, ImageWriter, Options, Report, Target, clamp_time};
use crate::meta::{Entry, Named, SharedXattrs, Timestamp};
use crate::tar::{End, Member, MemberData, MemberSink, Reader, StoredFile, TrailingSlash, Warning, read_tar};
use crate::tree::{LayerInProgress, MergeTree, WhiteoutFormat, Whiteouts};
use content_hash::Hashing;
use identity::Digests;
use image_archive::ImageArchive;
use image_tree::ImageTree;
use read_ahead::ReadAhead;

/// Where an image's UUID and hash seed come from, and what time it is.
#[derive(Clone, Copy, Debug)]
pub enum Identify {
    /// Given.
    As(Identity),
    /// Derived from the content, hashed as it streams (S6). `now` is `SOURCE_DATE_EPOCH`.
    ByContent {
        /// A given UUID nevertheless.
        uuid: Option<[u8; 16]>,
        /// The time of creation.
        now: Timestamp,
        /// See [`Identity::last_write`].
        last_write: Timestamp,
    },
}

/// How to pack.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The properties of the image.
    pub image: Options,
    /// What distinguishes it from others.
    pub identity: Identify,
    /// Accept a stream without an end marker (S1, S2).
    pub allow_missing_eof: bool,
}

/// Packs a tar stream, plain or compressed with gzip, zstd, xz or bzip2, into an image on `target`.
///
/// The stream is read to its end. Memory grows with the number of members, not with their size (S5).
///
/// ```
/// use oci2ext4::ext4::{FreshFile, Identity, Options};
/// use oci2ext4::pack::{Identify, PackOptions, pack};
///
/// let empty_archive: &[u8] = &[0; 1024]; // two blocks of zeros
/// let file = tempfile::tempfile()?;
/// let identity = Identify::As(Identity { uuid: [7; 16], ..Identity::default() });
/// let options = PackOptions { image: Options::default(), identity, allow_missing_eof: false };
/// let report = pack(empty_archive, FreshFile(file), &options)?;
/// assert!(report.free_blocks * 4096 >= 16 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the stream cannot be read, is malformed or cut; when ext4 cannot hold a member; when the image cannot be
/// written or its size is too small. `target` is then unfinished.
pub fn pack(input: impl Read + Send + 'static, target: impl Target, options: &PackOptions) -> Result<Report, Error> {
    // Also for a plain stream: reading a pipe copies as much as writing the image does, and there is a core to spare.
    let decoder = Decoder::new(input).map_err(Error::Input)?;
    pack_plain(ReadAhead::spawn(decoder).map_err(Error::Input)?, target, options)
}

fn pack_plain(input: impl BufRead, target: impl Target, options: &PackOptions) -> Result<Report, Error> {
    let mut writer = ImageWriter::new(target, &options.image).map_err(Error::Image)?;
    let mut digests = match options.identity {
        Identify::As(_) => None,
        Identify::ByContent { .. } => Some(Digests::default()),
    };
    let tree = read_tree(input, &mut writer, &mut digests, options.allow_missing_eof)?;
    let tree = ImageTree(tree.seal());
    let identity = match options.identity {
        Identify::As(identity) => identity,
        Identify::ByContent { uuid, now, last_write } => {
            let (derived, hash_seed) = identity::derive(&tree, &digests.unwrap_or_default());
            Identity { uuid: uuid.unwrap_or(derived), hash_seed, now, last_write }
        }
    };
    writer.finish(&tree, &identity).map_err(Error::of_image)
}

/// Reads all members: content goes to the image, the rest to the tree.
fn read_tree<T: Target>(
    input: impl BufRead,
    writer: &mut ImageWriter<T>,
    digests: &mut Option<Digests>,
    allow_missing_eof: bool,
) -> Result<MergeTree<FileData>, Error> {
    let mut reader = Reader::new(input).trailing_slash(TrailingSlash::Directory);
    let mut tree = MergeTree::new();
    let layer = tree.layer(Whiteouts::new(WhiteoutFormat::Other)).map_err(Error::Links)?;
    let mut sink = ImageSink {
        writer,
        layer,
        digests,
        shared: SharedXattrs::default(),
        cut_times: 0,
        names: ImageArchive::default(),
    };
    let end = read_tar(&mut reader, &mut sink)?;
    if reader.offset() == 0 {
        return Err(Error::Empty); // not one whole member, so no flag makes it an archive
    }
    if end != End::Marker && !allow_missing_eof {
        return Err(Error::NoEndMarker { offset: reader.offset() });
    }
    if sink.cut_times > 0 {
        log::warn!("{} times outside 1901 to 2310, the range of ext4, were cut to it", sink.cut_times);
    }
    if sink.names.is_image() {
        log::warn!(
            "this archive is itself an image, and its layers are packed as files; for the tree that they make: \
             oci-fetch ARCHIVE | oci-flatten | tar2ext4 -o IMAGE"
        );
    }
    sink.layer.finish().map_err(Error::Links)?;
    // S3: the writer must not get a broken pipe, and a compressed stream has its checksum at the end.
    io::copy(&mut reader.into_inner(), &mut io::sink()).map_err(Error::Input)?;
    Ok(tree)
}

/// Puts the members of an archive into an image.
struct ImageSink<'s, T> {
    writer: &'s mut ImageWriter<T>,
    layer: LayerInProgress<'s, FileData>,
    digests: &'s mut Option<Digests>,
    /// The attribute lists of members that lost some attributes.
    shared: SharedXattrs,
    /// How many members had times outside the range of ext4 (E10).
    cut_times: u64,
    names: ImageArchive,
}

impl<R: BufRead, T: Target> MemberSink<R> for ImageSink<'_, T> {
    type Error = Error;

    fn member(&mut self, mut member: Member, mut data: MemberData<'_, R>) -> Result<(), Error> {
        let fits = limits::check(&mut member, &mut self.shared);
        let Member { offset, path, entry, mut meta, xattrs } = member;
        self.names.member(&path);
        if matches!(entry, Entry::Node(_)) && clamp_time(meta.mtime) != meta.mtime {
            meta.mtime = clamp_time(meta.mtime);
            self.cut_times += 1;
        }
        let content = |file| {
            self.writer.set_origin(&path, offset);
            self.content(&file, &mut data)
        };
        let entry = match fits.and_then(|()| entry.try_map(content)) {
            Ok(entry) => entry,
            Err(problem) => return Err(Error::of_member(path, offset, problem)),
        };
        let member = Named { path: &path, entry, meta, xattrs };
        self.layer.apply(member).map_err(|source| Error::Tree { offset, source })
    }

    fn warning(&mut self, warning: &Warning) {
        log::warn!("{warning}");
    }
}

impl<T: Target> ImageSink<'_, T> {
    /// Writes a file's content to the image.
    fn content(&mut self, file: &StoredFile, data: &mut impl BufRead) -> Result<FileData, EntryError> {
        let size = file.size;
        let segments = || file.segments().map(|segment| (segment.offset, segment.len));
        let Some(digests) = &mut self.digests else {
            return self.writer.write_sparse(data, size, segments()).map_err(EntryError::Image);
        };
        let mut hashing = Hashing::new(data, segments());
        let content = self.writer.write_sparse(&mut hashing, size, segments()).map_err(EntryError::Image)?;
        digests.add(&content, hashing.finish(size));
        Ok(content)
    }
}
