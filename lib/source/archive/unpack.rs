//! Reads the members of an archive: small documents into memory, everything else into the store under its digest.

use std::io::{self, BufRead, Read};
use std::path::Path;

use super::super::Error;
use super::members::{Members, StoredBlob, normal};
use crate::codec::{Compression, Decoder};
use crate::image::{Digest, MAX_DOCUMENT};
use crate::meta::{Entry, NodeKind, Shown};
use crate::relay::{PageReader, fitting};
use crate::store::{Claim, Import, PartialBlob, Store};
use crate::tar::{End, Reader, StoredFile, is_header};

/// The most members of an archive; an image has about three for each layer.
const MAX_MEMBERS: usize = 100_000;

/// The limit in bytes for the holes of all members together. Holes take no disk space but have to be hashed, and a
/// header of a few bytes can claim any number of them.
const MAX_HOLES: u64 = 16 << 30;

/// The size of reads in bytes.
const BUFFER: usize = 256 << 10;

/// The content of an archive. Its blobs are in the store.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// `index.json` of an OCI image layout.
    pub index: Option<Vec<u8>>,
    /// `manifest.json` of docker save.
    pub manifest: Option<Vec<u8>>,
    pub members: Members,
    /// The total size of holes so far, in bytes.
    holes: u64,
}

/// Called when the bytes of a blob that may be a layer start to arrive, with the blob's size in bytes and the file.
pub(super) type Arrives<'a> = dyn FnMut(u64, &Path) -> Result<(), Error> + 'a;

pub(super) fn unpack(
    input: impl Read,
    file: &Path,
    store: &Store,
    arrives: &mut Arrives<'_>,
) -> Result<Unpacked, Error> {
    let io = |e: io::Error| Error::of_input(file, &e.to_string());
    let decoder = Decoder::new(input).map_err(io)?;
    let mut reader = Reader::new(PageReader::with_capacity(BUFFER, decoder));
    let mut unpacked = Unpacked::default();
    let not_an_archive =
        |e: crate::tar::Error| Error::of_input(file, &format!("cannot be read as an image archive: {e}"));
    while let Some(member) = reader.next_member().map_err(not_an_archive)? {
        let shown = Shown(&member.path);
        // All names that an image uses are plain text, so others do not matter.
        let Some(name) = std::str::from_utf8(&member.path).ok().and_then(normal) else { continue };
        let fail = |what: String| Error::of_input(file, &format!("{shown} at byte {}: {what}", member.offset));
        if unpacked.members.count() >= MAX_MEMBERS {
            return Err(fail(format!("more than {MAX_MEMBERS} members are too many for an image")));
        }
        match &member.entry {
            Entry::Node(NodeKind::File(stored)) => {
                unpacked.holes = unpacked.holes.saturating_add(stored.size.saturating_sub(stored.stored));
                if unpacked.holes > MAX_HOLES {
                    return Err(fail(format!("more than {MAX_HOLES} bytes of holes are too many for an image")));
                }
                let taken = take(&mut unpacked, &name, stored, &mut reader.data(), store, arrives);
                taken.map_err(|problem| match problem {
                    MemberError::Archive(what) => fail(what),
                    MemberError::Read(e) => fail(e.to_string()),
                    MemberError::Store(e) => Error::Store(e),
                    MemberError::Other(e) => e,
                })?;
            }
            Entry::Node(NodeKind::Symlink(target)) => {
                let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
                let target = std::str::from_utf8(target).ok().and_then(|target| {
                    if target.starts_with('/') { normal(target) } else { normal(&format!("{parent}/{target}")) }
                });
                unpacked.members.add_link(&name, target.as_deref());
            }
            Entry::HardLink(target) => {
                let target = std::str::from_utf8(target).ok().and_then(normal);
                unpacked.members.add_link(&name, target.as_deref());
            }
            _ => {}
        }
    }
    if reader.offset() == 0 {
        return Err(Error::of_input(file, "is empty, no image archive (did the program before this one fail?)"));
    }
    if reader.end() != Some(End::Marker) {
        return Err(Error::of_input(file, "the archive is cut: it ends without its end marker"));
    }
    // Compressed bytes may follow, with a checksum that has to be verified.
    io::copy(&mut reader.into_inner(), &mut io::sink()).map_err(io)?;
    Ok(unpacked)
}

enum MemberError {
    Archive(String),
    Read(io::Error),
    Store(crate::store::Error),
    Other(Error),
}

impl From<crate::store::Error> for MemberError {
    fn from(error: crate::store::Error) -> Self {
        Self::Store(error)
    }
}

fn take(
    unpacked: &mut Unpacked,
    name: &str,
    stored: &StoredFile,
    data: &mut impl BufRead,
    store: &Store,
    arrives: &mut Arrives<'_>,
) -> Result<(), MemberError> {
    let document = match name {
        "index.json" => &mut unpacked.index,
        "manifest.json" => &mut unpacked.manifest,
        _ if is_clutter(name) => return Ok(()),
        _ => {
            let blob = match declared(name) {
                Some(digest) => verified(store, digest, stored, data, arrives)?,
                None => imported(store, stored, data, arrives)?,
            };
            unpacked.members.add_blob(name, blob);
            return Ok(());
        }
    };
    if stored.size > MAX_DOCUMENT {
        return Err(MemberError::Archive(format!("{} bytes are too many, {MAX_DOCUMENT} at most", stored.size)));
    }
    let mut bytes = Vec::new();
    expand(stored, data, &mut bytes)?;
    *document = Some(bytes);
    Ok(())
}

/// Members of old archives that are not part of the image.
fn is_clutter(name: &str) -> bool {
    matches!(name, "oci-layout" | "repositories") || name.ends_with("/json") || name.ends_with("/VERSION")
}

/// The digest in the name of a blob in an OCI image layout.
fn declared(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Stores a blob whose name contains its digest.
fn verified(
    store: &Store,
    digest: Digest,
    stored: &StoredFile,
    data: &mut impl BufRead,
    arrives: &mut Arrives<'_>,
) -> Result<StoredBlob, MemberError> {
    let blob = StoredBlob { digest, size: stored.size };
    let mut arrival = Arrival::new(blob.size, data, arrives)?;
    let mut partial = match store.claim(&blob.digest, blob.size)? {
        Claim::Present(path) => {
            arrival.tell(&path)?;
            return Ok(blob);
        }
        Claim::Partial(partial) => partial,
    };
    partial.restart()?;
    arrival.tell(partial.path())?;
    expand(stored, data, &mut *partial)?;
    if let Err(mismatch) = partial.verify() {
        partial.restart()?;
        return Err(MemberError::Archive(mismatch.to_string()));
    }
    arrival.tell(&partial.commit()?)?;
    Ok(blob)
}

/// Stores a blob whose digest is computed.
fn imported(
    store: &Store,
    stored: &StoredFile,
    data: &mut impl BufRead,
    arrives: &mut Arrives<'_>,
) -> Result<StoredBlob, MemberError> {
    let mut arrival = Arrival::new(stored.size, data, arrives)?;
    let mut import = store.import()?;
    if let Some(path) = import.path() {
        arrival.tell(&path)?;
    }
    expand(stored, data, &mut import)?;
    let (digest, size, path) = import.finish()?;
    arrival.tell(&path)?;
    Ok(StoredBlob { digest, size })
}

/// A blob that may be a layer is announced twice: when its bytes start to arrive in a file, and when the file has its name
/// in the store, for a reader that did not open it in time.
struct Arrival<'a, 'b> {
    may_be_layer: bool,
    size: u64,
    arrives: &'a mut Arrives<'b>,
}

impl<'a, 'b> Arrival<'a, 'b> {
    /// Examines the first bytes of a member.
    fn new(size: u64, data: &mut impl BufRead, arrives: &'a mut Arrives<'b>) -> Result<Self, MemberError> {
        let may_be_layer = may_be_layer(data.fill_buf().map_err(MemberError::Read)?);
        Ok(Self { may_be_layer, size, arrives })
    }

    fn tell(&mut self, path: &Path) -> Result<(), MemberError> {
        if self.may_be_layer { (self.arrives)(self.size, path).map_err(MemberError::Other) } else { Ok(()) }
    }
}

/// Whether bytes start like a layer, compressed or not; other blobs of images are JSON.
fn may_be_layer(head: &[u8]) -> bool {
    let is_compressed = Compression::of(head).is_ok_and(|compression| compression != Compression::Plain);
    is_compressed || head.first_chunk().is_some_and(is_header)
}

/// A destination for the bytes and holes of a member.
trait SparseWrite {
    fn write(&mut self, bytes: &[u8]) -> Result<(), crate::store::Error>;
    fn write_hole(&mut self, count: u64) -> Result<(), crate::store::Error>;
}

impl SparseWrite for PartialBlob {
    fn write(&mut self, bytes: &[u8]) -> Result<(), crate::store::Error> {
        Self::write(self, bytes)
    }

    fn write_hole(&mut self, count: u64) -> Result<(), crate::store::Error> {
        Self::write_hole(self, count)
    }
}

impl SparseWrite for Import {
    fn write(&mut self, bytes: &[u8]) -> Result<(), crate::store::Error> {
        Self::write(self, bytes)
    }

    fn write_hole(&mut self, count: u64) -> Result<(), crate::store::Error> {
        Self::write_hole(self, count)
    }
}

/// A document, of at most [`MAX_DOCUMENT`] bytes.
impl SparseWrite for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), crate::store::Error> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn write_hole(&mut self, count: u64) -> Result<(), crate::store::Error> {
        self.resize(self.len().saturating_add(usize::try_from(count).unwrap_or(usize::MAX)), 0);
        Ok(())
    }
}

/// Writes the bytes and holes of a member to `sink`.
fn expand(stored: &StoredFile, data: &mut impl BufRead, sink: &mut impl SparseWrite) -> Result<(), MemberError> {
    let hole = |sink: &mut dyn SparseWrite, from: u64, to: u64| match to.saturating_sub(from) {
        0 => Ok(()),
        count => sink.write_hole(count),
    };
    let mut at = 0;
    for segment in stored.segments() {
        hole(sink, at, segment.offset)?;
        let mut left = segment.len;
        while left > 0 {
            let chunk = data.fill_buf().map_err(MemberError::Read)?;
            let n = fitting(left, chunk.len());
            if n == 0 {
                return Err(MemberError::Archive("its data is cut".into()));
            }
            sink.write(&chunk[..n])?;
            data.consume(n);
            left -= n as u64;
        }
        at = segment.offset.saturating_add(segment.len);
    }
    Ok(hole(sink, at, stored.size)?)
}
