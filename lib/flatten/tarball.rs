//! A layer that is a tar (F12-F14).

use std::io::BufRead;
use std::sync::Arc;

use super::blob::{Blob, BlobReader};
use super::cache::NewEntry;
use super::content::{ContentSource, FileRange, SourceFile};
use super::context::ReadContext;
use super::extra_layer::below;
use super::files::FileVersion;
use super::layer::{ExpectedDigests, IndexedLayer, Layer, LayerKind};
use super::member_index::{IndexedMember, MemberIndex};
use super::seeking::Seeking;
use super::spool::Spool;
use super::stream::{DecodedStream, Keeper};
use super::warnings::Warnings;
use super::{LayerError, progress};
use crate::codec::Decoder;
use crate::image::{Digest, Hasher};
use crate::meta::{Entry, Named};
use crate::tar::{self, End, Member, MemberData, MemberSink, StoredFile};
use crate::tree::{self, ExistingDirectories, WhiteoutFormat, Whiteouts};

/// The files that eStargz adds at the root of a layer (F14).
const STARGZ_NAMES: [&[u8]; 3] = [b"stargz.index.json", b".prefetch.landmark", b".no.prefetch.landmark"];

/// Reads a tar to its end. Its content goes to the spool or to the cache, so that the output is what was verified. The
/// content of an uncompressed file that nobody writes to, or that is not verified, is read in place later; in that case,
/// a check before the end of the output makes sure that the file has not changed.
pub(super) fn read(
    layer: &Layer,
    blob: &Blob,
    context: &ReadContext,
    expected: &ExpectedDigests,
    names: TarNames<'_>,
    entry: Option<NewEntry>,
) -> Result<IndexedLayer, LayerError> {
    let verified = to_verify(blob, expected, context.verify);
    let in_place = blob.is_plain && (verified.is_none() || blob.is_frozen) && context.may_stay_open();
    let meter = progress::start(context.progress_of(layer), |progress| progress.layer(&layer.label, blob.size));
    if let (true, true, Some(size)) = (in_place, verified.is_none(), blob.size) {
        let read = unverified(layer, blob, size, expected, names)?;
        if let Some(meter) = meter {
            meter.end();
        }
        return Ok(read);
    }
    let hasher = verified.digest.as_ref().map(|digest| Hasher::new(digest.algorithm()));
    let mut stored = BlobReader::new(blob, meter, hasher);
    let decoder = Decoder::new(&mut stored).map_err(|e| layer.io(e))?;
    let keeper = match entry {
        _ if in_place => None,
        Some(entry) => Some(Keeper::Cache(entry)),
        None => Some(Keeper::Spool(Spool::new(Arc::clone(&context.spool_dir)))),
    };
    let (helpers, cancelled) = (context.helpers.clone(), Arc::clone(&context.cancelled));
    let decoded = DecodedStream::new(decoder, verified.hasher_of_tar(), keeper, helpers, cancelled);

    let mut reader = tar::Reader::new(decoded);
    let mut sink = IndexSink::new(layer, names, |_| Ok(()));
    let end = tar::read_tar(&mut reader, &mut sink);
    let wants_to_speak = sink.is_silent && sink.warned;
    let (members, whiteouts) = sink.end();
    let offset = reader.offset();
    let mut decoded = reader.into_inner();
    // The diffId also covers the bytes after the last entry.
    let end = end.and_then(|end| match decoded.drain() {
        Ok(_) => Ok(end),
        Err(source) => Err(tar::Error { member: None, offset, problem: source.into() }.into()),
    });
    // An error below the archive takes precedence over what the archive looked like because of it.
    let (found, keeper) = decoded.finish()?;
    let end = end?;
    if wants_to_speak {
        return Err(LayerError::Cancelled);
    }
    if let Some((expected, found)) = other(&verified.diff_id, found.as_ref()) {
        return Err(LayerError::DiffId { expected, found });
    }
    if let Some((expected, found)) = other(&verified.digest, stored.end().as_ref()) {
        return Err(LayerError::Digest { expected, found });
    }
    check_end(layer, end, offset, expected, verified.diff_id.is_some() || verified.later)?;
    check_kind(layer, &members)?;
    let content = match keeper {
        Some(Keeper::Spool(spool)) => ContentSource::Spool(spool),
        Some(Keeper::Cache(entry)) => {
            let file = entry.finish().map_err(LayerError::Cache)?;
            let version = FileVersion::of(&file).map_err(LayerError::Cache)?;
            ContentSource::Tar(SourceFile { file: Arc::new(file), version, label: layer.label.clone() })
        }
        None => stays(layer, blob),
    };
    Ok(IndexedLayer { diff_id: found, ..indexed(members, whiteouts, content) })
}

/// The expected and the actual digest, if they differ.
fn other(expected: &Option<Digest>, found: Option<&Digest>) -> Option<(Digest, Digest)> {
    expected.clone().zip(found.cloned()).filter(|(expected, found)| expected != found)
}

/// Reads only the headers of an uncompressed tar that is not verified.
fn unverified(
    layer: &Layer,
    blob: &Blob,
    size: u64,
    expected: &ExpectedDigests,
    names: TarNames<'_>,
) -> Result<IndexedLayer, LayerError> {
    let mut reader = tar::Reader::new(Seeking::new(&blob.file, size));
    let mut sink = IndexSink::new(layer, names, |mut data| data.pass_over(Seeking::pass_over));
    let end = tar::read_tar(&mut reader, &mut sink)?;
    check_end(layer, end, reader.offset(), expected, false)?;
    let (members, whiteouts) = sink.end();
    check_kind(layer, &members)?;
    Ok(indexed(members, whiteouts, stays(layer, blob)))
}

/// A blob whose media type is not a tar's is accepted only if it starts like one.
fn check_kind(layer: &Layer, members: &MemberIndex) -> Result<(), LayerError> {
    match layer.kind {
        LayerKind::Blob { is_foreign: true, .. } if members.is_empty() => Err(LayerError::Foreign),
        _ => Ok(()),
    }
}

fn indexed(members: MemberIndex, whiteouts: Whiteouts, content: ContentSource) -> IndexedLayer {
    let existing = ExistingDirectories::TakeAttributes;
    IndexedLayer { members, whiteouts, content, existing, warnings: Warnings::default(), diff_id: None }
}

/// Content that is read in place.
fn stays(layer: &Layer, blob: &Blob) -> ContentSource {
    let (file, label) = (Arc::clone(&blob.file), layer.label.clone());
    ContentSource::Tar(SourceFile { file, version: blob.version, label })
}

/// Checks that a layer may end like this; `known_whole` if something else shows that it is complete (F12).
fn check_end(
    layer: &Layer,
    end: End,
    offset: u64,
    expected: &ExpectedDigests,
    known_whole: bool,
) -> Result<(), LayerError> {
    if end != End::Marker && !known_whole {
        let hint = if expected.diff_id.is_some() { ", and its diffId is not verified" } else { "" };
        return Err(LayerError::NoEnd { offset, hint });
    }
    if end == End::LoneZeroBlock && layer.is_arriving() {
        return Err(LayerError::Cancelled);
    }
    if end == End::LoneZeroBlock {
        log::warn!("{}: its end marker is a lone zero block; what may follow is not read", layer.label);
    }
    Ok(())
}

/// The digests to verify for a blob: the diffId if there is one, else the blob's own digest.
fn to_verify(blob: &Blob, expected: &ExpectedDigests, verify: bool) -> ExpectedDigests {
    let ExpectedDigests { diff_id, digest, later } = expected.clone();
    if !verify {
        ExpectedDigests::NONE
    } else if blob.is_plain {
        // Without compression, the diffId is the blob's digest.
        ExpectedDigests { diff_id: diff_id.or(digest), digest: None, later }
    } else {
        ExpectedDigests { digest: digest.filter(|_| diff_id.is_none()), diff_id, later }
    }
}

/// How the names of a tar's members are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct TarNames<'a> {
    /// Leave out the files that eStargz adds (F14).
    pub(super) stargz: bool,
    /// Put all members below this directory (F16).
    pub(super) prefix: &'a [u8],
}

/// Collects the members of a layer; their data bypasses it, to the spool.
struct IndexSink<'a, R> {
    layer: u32,
    /// It may turn out not to be a layer, so a warning ends the reading, and is given when it is read again as a layer.
    is_silent: bool,
    /// Whether there was a warning.
    warned: bool,
    names: TarNames<'a>,
    members: MemberIndex,
    whiteouts: Whiteouts,
    pass_over: PassOver<R>,
}

/// How to skip the data of members.
type PassOver<R> = fn(MemberData<'_, R>) -> Result<(), tar::Error>;

impl<'a, R> IndexSink<'a, R> {
    fn new(layer: &Layer, names: TarNames<'a>, pass_over: PassOver<R>) -> Self {
        let (members, whiteouts) = (MemberIndex::default(), Whiteouts::new(WhiteoutFormat::Names));
        let (layer, is_silent) = (layer.number, layer.is_arriving());
        Self { layer, is_silent, warned: false, names, members, whiteouts, pass_over }
    }

    /// Call this after the last member.
    fn end(self) -> (MemberIndex, Whiteouts) {
        let Self { mut members, whiteouts, .. } = self;
        members.end();
        (members, whiteouts)
    }
}

impl<R: BufRead> MemberSink<R> for IndexSink<'_, R> {
    type Error = LayerError;

    fn member(&mut self, member: Member, data: MemberData<'_, R>) -> Result<(), LayerError> {
        (self.pass_over)(data)?;
        let Member { offset, path, entry, meta, xattrs } = member;
        let prefix = self.names.prefix;
        let path = below(prefix, path);
        let entry = match entry {
            Entry::HardLink(target) => Entry::HardLink(below(prefix, target.into()).into()),
            entry => entry,
        };
        let fail = |source: tree::Error| LayerError::Member { offset, source };
        if self.names.stargz && is_stargz(&path) {
            return Ok(());
        }
        let position = u32::try_from(self.members.len);
        let position = position.map_err(|_| fail(tree::Error::TooMany(path.clone().into())))?;
        if self.whiteouts.collect(position, &path).map_err(fail)? {
            return Ok(());
        }
        let layer = self.layer;
        let range = |file: StoredFile| {
            let StoredFile { size, sparse, data_offset, .. } = file;
            FileRange { layer, at: data_offset, size, sparse: sparse.map(Box::new) }
        };
        let member = Named { path: &path, entry: entry.map(range), meta, xattrs };
        self.members.push(IndexedMember { offset, member });
        Ok(())
    }

    fn warning(&mut self, warning: &tar::Warning) {
        self.warned = true;
        if !self.is_silent {
            log::warn!("{warning}");
        }
    }
}

fn is_stargz(path: &[u8]) -> bool {
    let mut buffer = Vec::new();
    tree::normalise(path, &mut buffer).is_ok_and(|path| STARGZ_NAMES.contains(&path))
}
